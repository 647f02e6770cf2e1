// Strings: parts of them, putting them together, looking for one in another. Every byte keeps its
// mark of coming from the conversation on the way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "values/value.h"

namespace regard::chat {

// Bytes of the character that begins here. Requires: well-formed UTF-8, as all strings are.
inline int character_bytes(const char* at) noexcept {
  const auto first = static_cast<unsigned char>(*at);
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}
char32_t character(const char* at) noexcept;
void append_utf8(std::string& out, char32_t code);
int64_t characters(Run& run, const String& string);
// The byte at which a character begins, or the size behind the last one.
int64_t byte_of(Run& run, const String& string, int64_t character);

Value text(Run& run, std::string_view bytes);        // copies
Value fixed_text(Run& run, std::string_view bytes);  // of something that outlives the run
Value user_text(Run& run, std::string_view bytes);   // copies, and marks all of it
Value part(Run& run, const String& string, int64_t begin, int64_t end);  // bytes; shares them
Value concat(Run& run, const String& a, const String& b);
Value as_markup(Run& run, const String& string, bool markup);

// A string in the making.
class Text {
 public:
  explicit Text(Run& run) : run_(run) {}

  void add(std::string_view written_by_the_template);
  void add(const String& string) { add(string, 0, string.size); }
  void add(const String& string, int64_t begin, int64_t end);  // bytes
  // bytes that stand for what is marked, or not
  void add(std::string_view bytes, bool user);
  void add(char32_t code, bool user);

  int64_t size() const noexcept { return std::ssize(bytes_); }
  Value finish();  // the text can then be thrown away
  std::string& bytes() noexcept { return bytes_; }
  std::vector<ByteRange>& user() noexcept { return user_; }

 private:
  void mark(int64_t begin, int64_t end);

  Run& run_;
  std::string bytes_;
  std::vector<ByteRange> user_;
};

bool any_user(const String& string, int64_t begin, int64_t end) noexcept;

// Where needle begins at or behind from, or -1; in time linear in both.
int64_t find_text(Run& run, std::string_view text, std::string_view needle, int64_t from);
int64_t find_last(Run& run, std::string_view text, std::string_view needle);

bool is_space(char32_t code) noexcept;  // as str.isspace
enum class Side : uint8_t { left, right, both };
// Without spaces, or the characters of `chars`, at its ends.
Value strip(Run& run, const String& string, Side side, const String* chars = nullptr);

// For a message: on one line, and not for ever.
std::string shown(std::string_view text);

}  // namespace regard::chat
