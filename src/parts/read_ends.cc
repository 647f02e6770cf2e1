// Post-processors: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence.
#include <utility>

#include "parts/readers.h"

namespace regard::parts {
namespace {

using Read = void (*)(const Part& part, int32_t tokens, Ends& ends);

constexpr size_t kMostAdded = 64;  // tokens on a side

int32_t read_id(const Part& part, int32_t tokens) {
  return static_cast<int32_t>(part.integer(0, tokens - 1));
}

void add(const Part& part, std::vector<int32_t>& side, int32_t id) {
  if (side.size() == kMostAdded) part.refuse("adds more than {} tokens", kMostAdded);
  side.push_back(id);
}

void read_template(const Part& part, int32_t tokens, Ends& ends) {
  const auto specials = part.find("special_tokens");
  bool behind = false;
  Ends added;
  for (const Part& piece : part.get("single").list()) {
    if (const auto sequence = piece.find("Sequence")) {
      if (sequence->get_string("id") != "A") sequence->refuse("names another text than A");
      if (behind) piece.refuse("names the text a second time");
      behind = true;
      continue;
    }
    const Part special = piece.get("SpecialToken");
    const std::string& name = special.get_string("id");
    const auto known = specials ? specials->find(name) : std::nullopt;
    if (!known)
      special.refuse("names {}, which special_tokens does not have", subwords::quoted(name));
    for (const Part& id : known->get("ids").list())
      add(piece, behind ? added.behind : added.before, read_id(id, tokens));
  }
  if (!behind) part.get("single").refuse("does not name the text");
  ends.before.insert(ends.before.begin(), added.before.begin(), added.before.end());
  ends.behind.insert(ends.behind.end(), added.behind.begin(), added.behind.end());
}

int32_t read_named_id(const Part& part, int32_t tokens) {  // ["[CLS]", 101]
  const std::vector<Part> pair = part.list();
  if (pair.size() != 2) part.refuse("is not a token and its id");
  return read_id(pair[1], tokens);
}

void read_bert(const Part& part, int32_t tokens, Ends& ends) {
  ends.before.insert(ends.before.begin(), read_named_id(part.get("cls"), tokens));
  ends.behind.push_back(read_named_id(part.get("sep"), tokens));
}

void read_byte_level(const Part& part, int32_t, Ends& ends) {
  ends.trims = part.get_bool("trim_offsets", true);
  ends.keeps_first_space = part.get_bool("add_prefix_space", true);
}

void read_roberta(const Part& part, int32_t tokens, Ends& ends) {
  read_byte_level(part, tokens, ends);
  read_bert(part, tokens, ends);
}

void read_sequence(const Part& part, int32_t tokens, Ends& ends);

constexpr Reader<Read> kReaders[] = {
    {"TemplateProcessing", read_template}, {"BertProcessing", read_bert},
    {"RobertaProcessing", read_roberta},   {"ByteLevel", read_byte_level},
    {"Sequence", read_sequence},
};

void read_sequence(const Part& part, int32_t tokens, Ends& ends) {
  const std::vector<Part> parts = part.get("processors").list();
  if (parts.size() > kMostSteps)
    part.refuse("has {} parts, more than {}", parts.size(), kMostSteps);
  for (const Part& inner : parts) {
    if (inner.type() == "Sequence") inner.refuse("is a Sequence inside another");
    find_reader(kReaders, inner)(inner, tokens, ends);
    if (ends.before.size() + ends.behind.size() > kMostAdded)
      part.refuse("adds more than {} tokens", kMostAdded);
  }
}

}  // namespace

Ends read_ends(const Part& part, const subwords::Vocabulary& vocabulary) {
  Ends ends;
  find_reader(kReaders, part)(part, vocabulary.size(), ends);
  return ends;
}

}  // namespace regard::parts
