// Value: what a template can hold, with Python's semantics where a template can see them.
//
// A value is a tag and a word; strings, sequences and dicts live in the Run that made them. Strings
// know which of their bytes came from the conversation (String::user), whatever was done to them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "values/run.h"

namespace regard::chat {

enum class Kind : uint8_t {
  missing,  // an argument that was not given; never a value of a template
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  sequence,
  dict,
  name_space,
  loop,
  function,
};

struct Buffer {  // bytes behind a string that more may be written behind, where they are free
  int64_t used;
  int64_t capacity;
};

struct String {
  const char* data;  // UTF-8
  int64_t size;
  std::span<const ByteRange> user;  // in order and apart
  char* start;                      // of the buffer, if it has one
  Buffer* buffer;
  bool ascii;
  bool markup;  // escaped for HTML: what is added to it is escaped, too

  std::string_view view() const noexcept { return {data, static_cast<std::size_t>(size)}; }
};

// What stands for no value: where it was looked for, to say so when it is used after all.
struct Undefined {
  std::string_view name;
  std::string_view owner;  // the kind of object that has no such attribute, or empty
  std::string_view hint;   // the whole message, if set
};

// group: what groupby makes, a tuple whose two elements have names.
enum class SequenceKind : uint8_t { list, tuple, group, range, keys, values, items, generator };

struct Value;

struct Sequence {
  const Value* data;
  int64_t size;
  SequenceKind kind;
  int64_t next;  // of a generator: what was taken already
};

struct Entry;

struct Dict {
  const Entry* entries;  // in order of insertion
  int64_t size;
  const int32_t* slots;  // a hash table of 1 + index, or null where a look at each is as good
  uint64_t mask;
};

struct Namespace {
  Entry* entries;
  int64_t size;
  int64_t capacity;
};

struct Loop;      // chat/evaluate.h
struct Function;  // values/function.h

struct Value {
  Kind kind = Kind::none;
  union {
    bool boolean;
    int64_t integer = 0;
    double real;
    const Undefined* undefined;
    const String* string;
    Sequence* sequence;
    const Dict* dict;
    Namespace* name_space;
    Loop* loop;
    const Function* function;
  };

  bool is(Kind other) const noexcept { return kind == other; }
  std::string_view text() const noexcept { return string->view(); }  // requires a string
};

struct Entry {
  Value key;
  Value value;
};

// Making values.
inline Value none() noexcept { return {}; }
inline Value missing() noexcept { return {.kind = Kind::missing, .integer = 0}; }
inline Value boolean(bool value) noexcept { return {.kind = Kind::boolean, .boolean = value}; }
inline Value integer(int64_t value) noexcept { return {.kind = Kind::integer, .integer = value}; }
inline Value real(double value) noexcept { return {.kind = Kind::real, .real = value}; }
Value undefined(Run& run, std::string_view name, std::string_view owner = {},
                std::string_view hint = {});
Value sequence(Run& run, SequenceKind kind, std::span<const Value> values);  // copies
// Later values of equal keys replace earlier ones, in their place. Throws for a key that is a list.
Value dict(Run& run, std::span<const Entry> entries);

// Asking values.
std::string_view type_name(const Value& value) noexcept;  // Python's: "str", "NoneType", ...
bool truth(const Value& value) noexcept;
bool is_number(const Value& value) noexcept;      // boolean, integer or real
int64_t as_integer(const Value& value) noexcept;  // of a boolean or integer
double as_real(const Value& value) noexcept;      // of a number
bool is_undefined(const Value& value) noexcept;
[[noreturn]] void fail_undefined(Run& run, const Value& value);
// Throws the message of an undefined value if it is one.
inline void defined(Run& run, const Value& value) {
  if (value.kind == Kind::undefined) fail_undefined(run, value);
}

std::optional<int64_t> length(Run& run, const Value& value);  // nothing where Python has no len()
// The elements, a generator's only once; nothing for what is not iterable.
std::optional<std::span<const Value>> elements(Run& run, const Value& value);
std::span<const Value> iterate(Run& run, const Value& value);  // throws for what is not iterable
const Value* find(Run& run, const Dict& dict, const Value& key);
const Value* find(const Namespace& space, std::string_view name) noexcept;
void assign(Run& run, Namespace& space, const Value& key, const Value& value);

bool equal(Run& run, const Value& a, const Value& b);
// < 0, 0 or > 0. Throws for what Python does not order. sign: of the operator, for the message.
int compare(Run& run, const Value& a, const Value& b, std::string_view sign = "<");
bool contains(Run& run, const Value& container, const Value& value);
uint64_t hash(Run& run, const Value& value);  // equal values have equal hashes

}  // namespace regard::chat
