#define PCRE2_CODE_UNIT_WIDTH 8
#include "split/regex.h"

#include <pcre2.h>

#include <algorithm>

#include "base/check.h"

namespace regard::split {
namespace {

constexpr size_t kLongestPattern = 1 << 14;
constexpr uint32_t kMatchLimit = 1'000'000;  // backtracking points of one match
constexpr uint32_t kDepthLimit = 20'000;
constexpr uint32_t kHeapLimit = 64 << 10;  // KiB
// What all matches in a text may go over: a linear pattern needs a small multiple of its length.
constexpr int64_t kFreeSteps = 2'000'000;
constexpr int64_t kStepsPerByte = 64;

std::string shown(std::string_view pattern) {
  std::string out(pattern.substr(0, 80));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  while (!out.empty() && (out.back() & 0xC0) == 0x80) out.pop_back();
  if (!out.empty() && (out.back() & 0x80)) out.pop_back();
  return pattern.size() > 80 ? out + "..." : out;
}

// Counts what matching goes over: each item of the pattern calls here before it is tried.
struct Steps {
  int64_t left;
  size_t before = 0;
};

int count_steps(pcre2_callout_block* block, void* data) {
  Steps& steps = *static_cast<Steps*>(data);
  const size_t at = block->current_position;
  steps.left -= 1 + static_cast<int64_t>(at > steps.before ? at - steps.before : steps.before - at);
  steps.before = at;
  return steps.left < 0 ? PCRE2_ERROR_CALLOUT : 0;
}

// The parts that mean another thing in Oniguruma, or that PCRE2 does not have.
const char* foreign_part(std::string_view pattern) {
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i], next = i + 1 < pattern.size() ? pattern[i + 1] : 0;
    if (c == '\\') {
      if (next == 'h' || next == 'H') return "\\h, which is a hexadecimal digit there";
      if (next == 'C' || next == 'K' || next == 'G' || next == 'Q') return "\\C, \\G, \\K or \\Q";
      ++i;
    } else if (in_class) {
      if (c == ']') in_class = false;
      if (c == '&' && next == '&') return "&& between sets of characters";
      if (c == '[' && next != ':') return "a set of characters inside another";
      if (c == '[') {  // [:alpha:]
        const size_t end = pattern.find(":]", i + 2);
        if (end == std::string_view::npos) return "an open [:";
        i = end + 1;
      }
    } else if (c == '[') {
      in_class = true;
      if (next == '^') ++i;
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') ++i;
    } else if (c == '(' && next == '?' && pattern.substr(i + 2, 1) == "m") {
      return "(?m), which lets a dot match line ends there";
    } else if (c == '(' && next == '*') {
      return "a verb, (*...)";
    } else if (c == '(' && next == '?' &&
               (pattern.substr(i + 2, 1) == "C" || pattern.substr(i + 2, 1) == "R")) {
      return "a callout or recursion";
    }
  }
  return nullptr;
}

}  // namespace

struct Regex::Code {
  ~Code() { pcre2_code_free(code); }
  pcre2_code* code = nullptr;
};

Regex::Regex(std::string_view pattern) : pattern_(shown(pattern)) {
  if (pattern.size() > kLongestPattern)
    fail(ErrorKind::unreadable, "tokenizer: a regular expression has {} bytes, more than {}",
         pattern.size(), kLongestPattern);
  if (const char* part = foreign_part(pattern))
    fail(ErrorKind::unreadable, "tokenizer: the regular expression '{}' uses {}: not supported",
         pattern_, part);
  auto code = std::make_shared<Code>();
  int error = 0;
  PCRE2_SIZE at = 0;
  // Oniguruma's ^ and $ are those of lines. Comparing by UCP makes \s, \d and \w Unicode's.
  code->code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C,
      &error, &at, nullptr);
  if (code->code == nullptr) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(error, message, sizeof message);
    fail(ErrorKind::unreadable,
         "tokenizer: the regular expression '{}' does not compile: {} at byte {}", pattern_,
         reinterpret_cast<const char*>(message), at);
  }
  code_ = std::move(code);
}

void Regex::find_all(std::string_view text, std::vector<Found>& out) const {
  const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (!context || !data) fail(ErrorKind::out_of_memory, "encode: no memory for a match");
  Steps steps{kFreeSteps + kStepsPerByte * static_cast<int64_t>(text.size())};
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_depth_limit(context.get(), kDepthLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimit);
  pcre2_set_callout(context.get(), count_steps, &steps);
  const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  bool empty_before = false;  // an empty match is not found at the same place again
  for (size_t at = 0; at <= text.size();) {
    const int result = pcre2_match(code_->code, subject, text.size(), at,
                                   PCRE2_NO_UTF_CHECK | (empty_before ? PCRE2_NOTEMPTY_ATSTART : 0),
                                   data.get(), context.get());
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0)
      fail(ErrorKind::unreadable,
           "encode: the tokenizer's regular expression '{}' backtracks too much on this text of {} "
           "bytes",
           pattern_, text.size());
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(data.get());
    if (ends[0] > ends[1] || ends[1] > text.size()) break;  // \K in a look-ahead
    out.push_back({static_cast<uint32_t>(ends[0]), static_cast<uint32_t>(ends[1])});
    empty_before = ends[0] == ends[1];
    at = ends[1];
  }
}

}  // namespace regard::split
