#include "normalise/aligned.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace regard::normalise {

Aligned::Aligned(std::string_view part, int64_t begin, Tracking wanted)
    : text(part), tracking(wanted), most_bytes(kMostGrowth * part.size() + kFreeGrowth) {
  if (!tracked()) return;
  origins.resize(part.size());
  const char* at = part.data();
  const char* const end = at + part.size();
  while (at != end) {
    const auto first = static_cast<size_t>(at - part.data());
    unicode::read_character(at);
    const auto last = static_cast<size_t>(at - part.data());
    const Origin origin{static_cast<uint32_t>(begin) + static_cast<uint32_t>(first),
                        static_cast<uint32_t>(begin) + static_cast<uint32_t>(last)};
    std::fill(origins.begin() + static_cast<std::ptrdiff_t>(first),
              origins.begin() + static_cast<std::ptrdiff_t>(last), origin);
  }
}

void Aligned::check_growth(size_t bytes) const {
  if (bytes <= most_bytes) return;
  fail(ErrorKind::unreadable,
       "encode: the tokenizer's normaliser makes more than {} bytes of a part of the text, {} "
       "times its length and {}",
       most_bytes, kMostGrowth, kFreeGrowth);
}

void put_in_front(Aligned& text, std::string_view prefix) {
  if (text.text.empty()) return;
  text.check_growth(text.text.size() + prefix.size());
  if (text.tracked()) {
    const Origin first = text.origins.front();
    text.origins.insert(text.origins.begin(), prefix.size(), first);
  }
  text.text.insert(0, prefix);
}

Rewriter::Rewriter(Aligned& text)
    : old_(text), begin_(text.text.data()), at_(begin_), end_(begin_ + text.text.size()) {
  next_.tracking = text.tracking;
  next_.most_bytes = text.most_bytes;
  next_.text.reserve(text.text.size());
  next_.origins.reserve(text.origins.size());
}

void Rewriter::keep(size_t bytes) {
  next_.text.append(at_, bytes);
  if (old_.tracked()) {
    const auto from = old_.origins.begin() + (at_ - begin_);
    next_.origins.insert(next_.origins.end(), from, from + static_cast<std::ptrdiff_t>(bytes));
  }
  at_ += bytes;
}

void Rewriter::replace(char32_t c) {
  if (done()) return insert(c);
  const Origin origin = old_.tracked() ? old_.origins[static_cast<size_t>(at_ - begin_)] : Origin{};
  unicode::read_character(at_);
  write(c, origin);
}

void Rewriter::insert(char32_t c) { write(c, origin_before()); }

void Rewriter::insert(std::string_view added) {
  next_.check_growth(next_.text.size() + added.size());
  next_.text += added;
  if (old_.tracked()) next_.origins.insert(next_.origins.end(), added.size(), origin_before());
}

void Rewriter::apply(const unicode::Edit* edits, size_t count) {
  for (const unicode::Edit* edit = edits; edit != edits + count; ++edit) {
    if (edit->change > 0) {
      insert(edit->character);
    } else {
      replace(edit->character);
      for (int32_t gone = edit->change; gone < 0 && !done(); ++gone) unicode::read_character(at_);
    }
  }
}

void Rewriter::map_ascii(const AsciiMap& map) {
  const size_t run = unicode::ascii_prefix(rest());
  const size_t first = next_.text.size();
  next_.text.resize(first + run);
  char* out = next_.text.data() + first;
  if (old_.tracked()) {
    next_.origins.resize(first + run);
    Origin* origin = next_.origins.data() + first;
    const Origin* from = old_.origins.data() + (at_ - begin_);
    for (size_t i = 0; i < run; ++i) {
      const uint8_t mapped = map[static_cast<unsigned char>(at_[i])];
      *out = static_cast<char>(mapped);
      *origin = from[i];
      out += mapped != kGoes;
      origin += mapped != kGoes;
    }
  } else {
    for (size_t i = 0; i < run; ++i) {
      const uint8_t mapped = map[static_cast<unsigned char>(at_[i])];
      *out = static_cast<char>(mapped);
      out += mapped != kGoes;
    }
  }
  next_.text.resize(static_cast<size_t>(out - next_.text.data()));
  if (old_.tracked()) next_.origins.resize(next_.text.size());
  at_ += run;
}

void Rewriter::finish() {
  next_.check_growth(next_.text.size());
  old_ = std::move(next_);
}

Origin Rewriter::origin_before() const noexcept {
  if (!old_.tracked()) return {};
  if (at_ != begin_) return old_.origins[static_cast<size_t>(at_ - begin_) - 1];
  const uint32_t begin = old_.origins.empty() ? 0 : old_.origins.front().begin;
  return {begin, begin};
}

void Rewriter::write(char32_t c, Origin origin) {
  const size_t before = next_.text.size();
  unicode::append_character(c, next_.text);
  if (old_.tracked()) next_.origins.insert(next_.origins.end(), next_.text.size() - before, origin);
}

}  // namespace regard::normalise
