#include "values/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "unicode/utf8.h"

namespace regard::chat {
namespace {

bool all_ascii(std::string_view bytes) noexcept {
  return std::none_of(bytes.begin(), bytes.end(),
                      [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

Value wrap(Run& run, const String& string) {
  auto* made = run.make<String>(1);
  *made = string;
  return {.kind = Kind::string, .string = made};
}

char* copy(Run& run, std::string_view bytes) {
  run.read(std::ssize(bytes));
  char* data = run.make<char>(std::ssize(bytes));
  std::copy(bytes.begin(), bytes.end(), data);
  return data;
}

std::span<const ByteRange> copy(Run& run, std::span<const ByteRange> ranges) {
  run.step(std::ssize(ranges) / 8);
  auto* data = run.make<ByteRange>(std::ssize(ranges));
  std::copy(ranges.begin(), ranges.end(), data);
  return {data, ranges.size()};
}

// The marks of a part, from its own first byte on, shifted.
template <class Take>
void marks_of(const String& string, int64_t begin, int64_t end, const Take& take) {
  auto at = std::partition_point(string.user.begin(), string.user.end(),
                                 [&](const ByteRange& range) { return range.end <= begin; });
  for (; at != string.user.end() && at->begin < end; ++at) {
    take(ByteRange{std::max(at->begin, begin) - begin, std::min(at->end, end) - begin});
  }
}

}  // namespace

char32_t character(const char* at) noexcept { return unicode::read_character(at); }

void append_utf8(std::string& out, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

int64_t characters(Run& run, const String& string) {
  if (string.ascii) return string.size;
  run.read(string.size);
  return std::count_if(string.data, string.data + string.size,
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

int64_t byte_of(Run& run, const String& string, int64_t wanted) {
  if (string.ascii) return std::min(wanted, string.size);
  int64_t at = 0;
  for (; wanted > 0 && at < string.size; --wanted) at += character_bytes(string.data + at);
  run.read(at);
  return at;
}

Value text(Run& run, std::string_view bytes) {
  return fixed_text(run, {copy(run, bytes), bytes.size()});
}

Value fixed_text(Run& run, std::string_view bytes) {
  return wrap(run,
              {bytes.data(), std::ssize(bytes), {}, nullptr, nullptr, all_ascii(bytes), false});
}

Value user_text(Run& run, std::string_view bytes) {
  const ByteRange whole{0, std::ssize(bytes)};
  const char* data = copy(run, bytes);
  return wrap(run, {data, std::ssize(bytes),
                    bytes.empty() ? std::span<const ByteRange>() : copy(run, {&whole, 1}), nullptr,
                    nullptr, all_ascii(bytes), false});
}

Value part(Run& run, const String& string, int64_t begin, int64_t end) {
  end = std::max(begin, end);
  String made{string.data + begin, end - begin, {}, nullptr, nullptr, string.ascii, string.markup};
  if (!string.user.empty()) {
    int64_t count = 0;
    marks_of(string, begin, end, [&](const ByteRange&) { ++count; });
    run.step(count / 8);
    auto* ranges = run.make<ByteRange>(count);
    int64_t at = 0;
    marks_of(string, begin, end, [&](const ByteRange& range) { ranges[at++] = range; });
    made.user = {ranges, static_cast<std::size_t>(count)};
  }
  return wrap(run, made);
}

// The marks of a, then those of b behind it; two that touch become one.
static std::span<const ByteRange> join_marks(Run& run, const String& a, const String& b) {
  if (a.user.empty() && b.user.empty()) return {};
  const auto most = std::ssize(a.user) + std::ssize(b.user);
  run.step(most / 8);
  auto* ranges = run.make<ByteRange>(most);
  auto* end = std::copy(a.user.begin(), a.user.end(), ranges);
  for (const ByteRange& range : b.user) {
    if (end != ranges && end[-1].end == range.begin + a.size) {
      end[-1].end = range.end + a.size;
    } else {
      *end++ = {range.begin + a.size, range.end + a.size};
    }
  }
  return {ranges, end};
}

Value concat(Run& run, const String& a, const String& b) {
  const int64_t size = a.size + b.size;
  String made{a.data, size, join_marks(run, a, b), a.start, a.buffer, a.ascii && b.ascii, a.markup};
  run.read(b.size);
  // A text that grows piece by piece is written once: behind its last piece there is room.
  const bool behind = a.buffer != nullptr && a.data + a.size == a.start + a.buffer->used &&
                      b.size <= a.buffer->capacity - a.buffer->used;
  if (!behind) {
    constexpr int64_t kShort = 256;
    run.read(a.size);
    const int64_t capacity = size > kShort ? 2 * size : size;
    char* data = run.make<char>(capacity);
    std::copy_n(a.data, a.size, data);
    made.data = made.start = data;
    made.buffer = run.make<Buffer>(1);
    *made.buffer = {a.size, capacity};
  }
  std::copy_n(b.data, b.size, made.start + made.buffer->used);
  made.buffer->used += b.size;
  return wrap(run, made);
}

Value as_markup(Run& run, const String& string, bool markup) {
  String made = string;
  made.markup = markup;
  return wrap(run, made);
}

void Text::mark(int64_t begin, int64_t end) {
  if (begin == end) return;
  if (!user_.empty() && user_.back().end == begin) {
    user_.back().end = end;
  } else {
    user_.push_back({begin, end});
  }
}

void Text::add(std::string_view bytes) { add(bytes, false); }

void Text::add(std::string_view bytes, bool user) {
  run_.read(std::ssize(bytes));
  run_.room(size() + std::ssize(bytes));
  bytes_ += bytes;
  if (user) mark(size() - std::ssize(bytes), size());
}

void Text::add(const String& string, int64_t begin, int64_t end) {
  const int64_t offset = size();
  if (end <= begin) return;
  add(string.view().substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
  int64_t count = 0;
  marks_of(string, begin, end, [&](const ByteRange& range) {
    mark(offset + range.begin, offset + range.end);
    ++count;
  });
  run_.step(count / 8);
}

void Text::add(char32_t code, bool user) {
  const int64_t begin = size();
  append_utf8(bytes_, code);
  if (user) mark(begin, size());
}

Value Text::finish() {
  const auto ranges = copy(run_, std::span<const ByteRange>(user_));
  const char* data = copy(run_, bytes_);
  return wrap(run_, {data, size(), ranges, nullptr, nullptr, all_ascii(bytes_), false});
}

bool any_user(const String& string, int64_t begin, int64_t end) noexcept {
  bool found = false;
  marks_of(string, begin, end, [&](const ByteRange&) { found = true; });
  return found;
}

int64_t find_text(Run& run, std::string_view text, std::string_view needle, int64_t from) {
  if (from > std::ssize(text)) return -1;
  const auto rest = text.substr(static_cast<std::size_t>(from));
  run.step();
  run.read(std::ssize(needle));
  if (needle.empty()) return from;
  // memmem takes linear time whatever the texts are.
  const void* at = memmem(rest.data(), rest.size(), needle.data(), needle.size());
  run.read(at == nullptr ? std::ssize(rest) : static_cast<const char*>(at) - rest.data());
  return at == nullptr ? -1 : static_cast<const char*>(at) - text.data();
}

int64_t find_last(Run& run, std::string_view text, std::string_view needle) {
  if (needle.empty()) return std::ssize(text);
  const std::string backwards(text.rbegin(), text.rend());
  const std::string wanted(needle.rbegin(), needle.rend());
  const int64_t at = find_text(run, backwards, wanted, 0);
  return at < 0 ? -1 : std::ssize(text) - at - std::ssize(needle);
}

bool is_space(char32_t c) noexcept {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

Value strip(Run& run, const String& string, Side side, const String* chars) {
  const auto goes = [&](const char* at) {
    run.step();
    if (chars == nullptr) return is_space(character(at));
    const std::string_view one(at, static_cast<std::size_t>(character_bytes(at)));
    run.read(chars->size);
    // Whole characters: no character of UTF-8 lies inside another.
    return chars->view().find(one) != std::string_view::npos;
  };
  int64_t begin = 0;
  int64_t end = string.size;
  if (side != Side::right) {
    while (begin < end && goes(string.data + begin)) begin += character_bytes(string.data + begin);
  }
  if (side != Side::left) {
    while (end > begin) {
      int64_t last = end - 1;
      while ((static_cast<unsigned char>(string.data[last]) & 0xC0) == 0x80) --last;
      if (!goes(string.data + last)) break;
      end = last;
    }
  }
  return part(run, string, begin, end);
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 200;
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i >= kMost && (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return line + "...";
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7F) {
      line += byte == '\n' ? ' ' : '?';
    } else {
      line += text[i];
    }
  }
  return line;
}

}  // namespace regard::chat
