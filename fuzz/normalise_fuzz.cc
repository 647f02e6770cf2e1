// Normalisers on any text, a charsmap of any bytes among them: what comes out is UTF-8 whose bytes
// come from the text in order, the same whether that is tracked or not, or the charsmap is refused
// in one clean line.
//
// The first byte of an input chooses the step; the last choice is a charsmap, which follows with
// two bytes of length in front. The rest is the text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "normalise/normaliser.h"
#include "regard/error.h"

namespace regard::normalise {
namespace {

using unicode::NormalForm;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

Step all_in_a_row() {
  std::vector<Step> steps;
  steps.push_back(nmt());
  steps.push_back(form(NormalForm::nfkc));
  steps.push_back(strip_accents());
  steps.push_back(replace_regex("\\A +| +\\z", ""));
  steps.push_back(replace_regex(" {2,}", " "));
  steps.push_back(prepend("\xE2\x96\x81"));
  steps.push_back(form(NormalForm::nfd));
  return sequence(std::move(steps));
}

const std::vector<Step>& steps() {
  static const std::vector<Step> all = [] {
    std::vector<Step> made;
    for (const NormalForm f :
         {NormalForm::nfc, NormalForm::nfd, NormalForm::nfkc, NormalForm::nfkd})
      made.push_back(form(f));
    made.push_back(strip_accents());
    made.push_back(lowercase());
    made.push_back(strip(true, false));
    made.push_back(strip(false, true));
    made.push_back(nmt());
    made.push_back(replace_text("aa", "\xC3\xA9"));
    made.push_back(replace_regex("a+|b{3,}\\z|\\A\\.", "xy"));
    for (int bits = 0; bits < 16; ++bits)
      made.push_back(bert({(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0}));
    made.push_back(all_in_a_row());
    return made;
  }();
  return all;
}

void try_step(const Normaliser& step, std::string_view bytes) {
  std::string text;
  if (unicode::append_well_formed(bytes, text) > 0) text += unicode::kReplacement;
  Aligned tracked(text, 0, Tracking::on), plain(text, 0, Tracking::off);
  step.apply(tracked);
  step.apply(plain);
  expect(tracked.text == plain.text, "tracking changes nothing");
  expect(unicode::first_invalid_utf8(tracked.text) < 0, "the outcome is UTF-8");
  expect(tracked.origins.size() == tracked.text.size(), "an origin for each byte");
  Origin before{0, 0};
  for (const Origin& origin : tracked.origins) {
    expect(origin.begin <= origin.end && origin.end <= text.size(), "origins lie in the text");
    expect(origin.begin >= before.begin && origin.end >= before.end, "origins ascend");
    before = origin;
  }
}

}  // namespace
}  // namespace regard::normalise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace regard::normalise;
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t choice = data[0] % (steps().size() + 1);
  if (choice < steps().size()) {
    try_step(*steps()[choice], rest);
    return 0;
  }
  if (rest.size() < 2) return 0;
  const size_t length = static_cast<unsigned char>(rest[0]) |
                        static_cast<size_t>(static_cast<unsigned char>(rest[1])) << 8;
  rest.remove_prefix(2);
  try {
    const Step map = precompiled(rest.substr(0, length));
    try_step(*map, rest.substr(std::min(length, rest.size())));
  } catch (const regard::Error& error) {
    const std::string_view message = error.what();
    expect(error.kind() == regard::ErrorKind::unreadable, "the kind of error");
    expect(!message.empty() && message.find('\n') == std::string_view::npos, "one line");
  }
  return 0;
}
