// Normalisers: those of the table below.
#include <string>

#include "parts/readers.h"

namespace regard::parts {
namespace {

using normalise::Step;
using Read = void (*)(const Part& part, std::vector<Step>& steps);

template <unicode::NormalForm kForm>
void read_form(const Part&, std::vector<Step>& steps) {
  steps.push_back(normalise::form(kForm));
}
void read_strip_accents(const Part&, std::vector<Step>& steps) {
  steps.push_back(normalise::strip_accents());
}
void read_lowercase(const Part&, std::vector<Step>& steps) {
  steps.push_back(normalise::lowercase());
}
void read_nmt(const Part&, std::vector<Step>& steps) { steps.push_back(normalise::nmt()); }

void read_strip(const Part& part, std::vector<Step>& steps) {
  steps.push_back(normalise::strip(part.get_bool("strip_left"), part.get_bool("strip_right")));
}

void read_prepend(const Part& part, std::vector<Step>& steps) {
  steps.push_back(normalise::prepend(part.get_string("prepend")));
}

void read_replace(const Part& part, std::vector<Step>& steps) {
  const Part written = part.get("pattern");
  Pattern pattern = read_pattern(written);
  if (pattern.text.empty()) written.refuse("is empty");
  std::string content = part.get_string("content");
  steps.push_back(pattern.is_regex
                      ? normalise::replace_regex(pattern.text, std::move(content))
                      : normalise::replace_text(std::move(pattern.text), std::move(content)));
}

void read_bert(const Part& part, std::vector<Step>& steps) {
  const bool lowercase = part.get_bool("lowercase", true);
  steps.push_back(
      normalise::bert({.clean_text = part.get_bool("clean_text", true),
                       .handle_chinese_chars = part.get_bool("handle_chinese_chars", true),
                       .strip_accents = part.get_bool("strip_accents", lowercase),
                       .lowercase = lowercase}));
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::string read_base64(const Part& part) {
  std::string_view text = part.string();
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) part.refuse("is not base 64");
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count);
    bits &= (1u << count) - 1;
  }
  return bytes;
}

void read_precompiled(const Part& part, std::vector<Step>& steps) {
  // Null where a SentencePiece model has no rules of its own.
  if (const auto charsmap = part.find("precompiled_charsmap"))
    if (const std::string bytes = read_base64(*charsmap); !bytes.empty())
      steps.push_back(normalise::precompiled(bytes));
}

void read_sequence(const Part& part, std::vector<Step>& steps);

constexpr Reader<Read> kReaders[] = {
    {"NFC", read_form<unicode::NormalForm::nfc>},
    {"NFD", read_form<unicode::NormalForm::nfd>},
    {"NFKC", read_form<unicode::NormalForm::nfkc>},
    {"NFKD", read_form<unicode::NormalForm::nfkd>},
    {"StripAccents", read_strip_accents},
    {"Lowercase", read_lowercase},
    {"Nmt", read_nmt},
    {"Strip", read_strip},
    {"Prepend", read_prepend},
    {"Replace", read_replace},
    {"BertNormalizer", read_bert},
    {"Precompiled", read_precompiled},
    {"Sequence", read_sequence},
};

// JSON is not nested deeper than its reader's limit, so neither are these calls.
void read_sequence(const Part& part, std::vector<Step>& steps) {
  for (const Part& inner : part.get("normalizers").list()) {
    find_reader(kReaders, inner)(inner, steps);
    if (steps.size() > kMostSteps) part.refuse("has more than {} steps", kMostSteps);
  }
}

}  // namespace

Step read_normaliser(const Part& part) {
  std::vector<Step> steps;
  find_reader(kReaders, part)(part, steps);
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return std::move(steps[0]);
  return normalise::sequence(std::move(steps));
}

}  // namespace regard::parts
