// Pre-tokenizers: ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace,
// CharDelimiterSplit, FixedLength, BertPreTokenizer, Sequence.
#include "parts/readers.h"
#include "split/steps.h"

namespace regard::parts {
namespace {

using split::Behaviour;

struct Steps {
  std::vector<split::Step> steps;
  bool byte_level = false;
};
using Read = void (*)(const Part& part, Steps& out);

Behaviour read_behaviour(const Part& part) {
  const std::string& name = part.string();
  if (name == "Removed") return Behaviour::removed;
  if (name == "Isolated") return Behaviour::isolated;
  if (name == "MergedWithPrevious") return Behaviour::merged_with_previous;
  if (name == "MergedWithNext") return Behaviour::merged_with_next;
  if (name == "Contiguous") return Behaviour::contiguous;
  part.refuse("{} is none of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous",
              subwords::quoted(name));
}

void read_byte_level(const Part& part, Steps& out) {
  if (part.get_bool("add_prefix_space", true)) out.steps.push_back(split::space_in_front());
  if (part.get_bool("use_regex", true)) out.steps.push_back(split::scan(split::SplitRule::gpt2));
  out.byte_level = true;
}

void read_split(const Part& part, Steps& out) {
  const Part written = part.get("pattern");
  Pattern pattern = read_pattern(written);
  const Behaviour behaviour = read_behaviour(part.get("behavior"));
  const bool invert = part.get_bool("invert", false);
  if (pattern.text.empty()) written.refuse("is empty");
  out.steps.push_back(pattern.is_regex
                          ? split::regex(pattern.text, behaviour, invert)
                          : split::literal(std::move(pattern.text), behaviour, invert));
}

void read_digits(const Part& part, Steps& out) {
  out.steps.push_back(split::digits(part.get_bool("individual_digits", false)));
}

void read_punctuation(const Part& part, Steps& out) {
  const auto behaviour = part.find("behavior");
  out.steps.push_back(
      split::punctuation(behaviour ? read_behaviour(*behaviour) : Behaviour::isolated));
}

void read_whitespace(const Part&, Steps& out) { out.steps.push_back(split::whitespace()); }
void read_whitespace_split(const Part&, Steps& out) {
  out.steps.push_back(split::whitespace_split());
}
void read_bert(const Part&, Steps& out) { out.steps.push_back(split::bert()); }

void read_metaspace(const Part& part, Steps& out) {
  using split::Prepend;
  const bool has_prefix = part.get_bool("add_prefix_space", true);
  Prepend prepend = has_prefix ? Prepend::always : Prepend::never;
  if (const auto scheme = part.find("prepend_scheme")) {
    const std::string& name = scheme->string();
    if (name == "always")
      prepend = Prepend::always;
    else if (name == "first")
      prepend = Prepend::first;
    else if (name == "never")
      prepend = Prepend::never;
    else
      scheme->refuse("{} is none of always, first, never", subwords::quoted(name));
  }
  if (!has_prefix && prepend != Prepend::never)
    part.refuse("add_prefix_space is false, but prepend_scheme is not never");
  out.steps.push_back(
      split::metaspace(part.get_character("replacement"), prepend, part.get_bool("split", true)));
}

void read_delimiter(const Part& part, Steps& out) {
  out.steps.push_back(
      split::literal(part.get_character("delimiter"), Behaviour::removed, /*invert=*/false));
}

void read_fixed_length(const Part& part, Steps& out) {
  const auto length = part.find("length");
  out.steps.push_back(split::fixed_length(length ? length->integer(1, INT32_MAX) : 5));
}

void read_sequence(const Part& part, Steps& out);

constexpr Reader<Read> kReaders[] = {
    {"ByteLevel", read_byte_level},
    {"Split", read_split},
    {"Digits", read_digits},
    {"Punctuation", read_punctuation},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
    {"Metaspace", read_metaspace},
    {"CharDelimiterSplit", read_delimiter},
    {"FixedLength", read_fixed_length},
    {"BertPreTokenizer", read_bert},
    {"Sequence", read_sequence},
};

// Digits one by one and then GPT-2's words are one scanner's work.
bool is_smollm(const std::vector<Part>& parts) {
  return parts.size() == 2 && parts[0].type() == "Digits" &&
         parts[0].get_bool("individual_digits", false) && parts[1].type() == "ByteLevel" &&
         !parts[1].get_bool("add_prefix_space", true) && parts[1].get_bool("use_regex", true);
}

// JSON is not nested deeper than its reader's limit, so neither are these calls.
void read_sequence(const Part& part, Steps& out) {
  const std::vector<Part> parts = part.get("pretokenizers").list();
  if (!out.byte_level && is_smollm(parts)) {
    out.steps.push_back(split::scan(split::SplitRule::smollm));
    out.byte_level = true;
    return;
  }
  for (const Part& inner : parts) {
    // What follows would see GPT-2's alphabet in place of the text; no family does that.
    if (out.byte_level) inner.refuse("stands behind ByteLevel, which must be the last");
    find_reader(kReaders, inner)(inner, out);
    if (out.steps.size() > kMostSteps) part.refuse("has more than {} steps", kMostSteps);
  }
}

}  // namespace

PreTokenizing read_pre_tokenizer(const Part& part) {
  Steps steps;
  find_reader(kReaders, part)(part, steps);
  PreTokenizing out{.step = nullptr, .byte_level = steps.byte_level};
  if (steps.steps.size() == 1)
    out.step = std::move(steps.steps[0]);
  else if (!steps.steps.empty())
    out.step = split::sequence(std::move(steps.steps));
  return out;
}

}  // namespace regard::parts
