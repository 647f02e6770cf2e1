// Decoders: ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece, BPEDecoder,
// Sequence.
#include <algorithm>

#include "parts/readers.h"

namespace regard::parts {
namespace {

using Kind = DecodeStep::Kind;
using Read = void (*)(const Part& part, std::vector<DecodeStep>& steps);

void read_byte_level(const Part&, std::vector<DecodeStep>& steps) {
  steps.push_back({.kind = Kind::bytes});
}
void read_byte_fallback(const Part&, std::vector<DecodeStep>& steps) {
  steps.push_back({.kind = Kind::byte_fallback});
}
void read_fuse(const Part&, std::vector<DecodeStep>& steps) {
  steps.push_back({.kind = Kind::fuse});
}

void read_replace(const Part& part, std::vector<DecodeStep>& steps) {
  const Part written = part.get("pattern");
  Pattern pattern = read_pattern(written);
  if (pattern.is_regex) written.refuse("a regular expression is not supported in a decoder");
  if (pattern.text.empty()) written.refuse("is empty");
  steps.push_back(
      {.kind = Kind::replace, .from = std::move(pattern.text), .to = part.get_string("content")});
}

void read_strip(const Part& part, std::vector<DecodeStep>& steps) {
  steps.push_back({.kind = Kind::strip,
                   .from = part.get_character("content"),
                   .start = part.get("start").integer(0, INT32_MAX),
                   .stop = part.get("stop").integer(0, INT32_MAX)});
}

void read_metaspace(const Part& part, std::vector<DecodeStep>& steps) {
  bool drop_first = part.get_bool("add_prefix_space", true);
  if (const auto scheme = part.find("prepend_scheme")) drop_first = scheme->string() != "never";
  steps.push_back({.kind = Kind::metaspace,
                   .from = part.get_character("replacement"),
                   .drop_first = drop_first});
}

void read_word_piece(const Part& part, std::vector<DecodeStep>& steps) {
  steps.push_back({.kind = Kind::word_piece,
                   .from = part.get_string("prefix"),
                   .clean = part.get_bool("cleanup")});
}

void read_suffix(const Part& part, std::vector<DecodeStep>& steps) {
  steps.push_back({.kind = Kind::suffix, .from = part.get_string("suffix")});
}

void read_sequence(const Part& part, std::vector<DecodeStep>& steps);

constexpr Reader<Read> kReaders[] = {
    {"ByteLevel", read_byte_level},
    {"ByteFallback", read_byte_fallback},
    {"Fuse", read_fuse},
    {"Replace", read_replace},
    {"Strip", read_strip},
    {"Metaspace", read_metaspace},
    {"WordPiece", read_word_piece},
    {"BPEDecoder", read_suffix},
    {"Sequence", read_sequence},
};

// JSON is not nested deeper than its reader's limit, so neither are these calls.
void read_sequence(const Part& part, std::vector<DecodeStep>& steps) {
  for (const Part& inner : part.get("decoders").list()) {
    find_reader(kReaders, inner)(inner, steps);
    if (steps.size() > kMostSteps) part.refuse("has more than {} steps", kMostSteps);
  }
}

// Sixty steps that double a text are a few kilobytes of a file.
void check_growth(const Part& part, const std::vector<DecodeStep>& steps) {
  constexpr size_t kMostGrowth = 16;
  size_t growth = 1;
  for (const DecodeStep& step : steps) {
    if (step.kind != Kind::replace) continue;
    growth *= std::max<size_t>(1, (step.to.size() + step.from.size() - 1) / step.from.size());
    if (growth > kMostGrowth)
      part.refuse("the Replace steps can make a text more than {} times as long", kMostGrowth);
  }
}

}  // namespace

std::vector<DecodeStep> read_decoder(const Part& part) {
  std::vector<DecodeStep> steps;
  find_reader(kReaders, part)(part, steps);
  check_growth(part, steps);
  return steps;
}

}  // namespace regard::parts
