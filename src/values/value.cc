#include "values/value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "values/text.h"

namespace regard::chat {

Value undefined(Run& run, std::string_view name, std::string_view owner, std::string_view hint) {
  auto* made = run.make<Undefined>(1);
  char* copy = run.make<char>(static_cast<int64_t>(name.size()));
  std::copy(name.begin(), name.end(), copy);
  *made = {{copy, name.size()}, owner, hint};
  return {.kind = Kind::undefined, .undefined = made};
}

Value sequence(Run& run, SequenceKind kind, std::span<const Value> values) {
  const auto size = std::ssize(values);
  run.step(size / 8);
  Value* data = run.make<Value>(size);
  std::copy(values.begin(), values.end(), data);
  auto* made = run.make<Sequence>(1);
  *made = {data, size, kind, 0};
  return {.kind = Kind::sequence, .sequence = made};
}

Value dict(Run& run, std::span<const Entry> entries) {
  const auto count = std::ssize(entries);
  constexpr int64_t kFew = 8;
  auto* made = run.make<Dict>(1);
  Entry* data = run.make<Entry>(count);
  *made = {data, 0, nullptr, 0};
  int32_t* slots = nullptr;
  if (count > INT32_MAX / 4) run.fail("a dict of {} keys", count);
  if (count > kFew) {
    const uint64_t size = std::bit_ceil(static_cast<uint64_t>(count) * 2);
    slots = run.make<int32_t>(static_cast<int64_t>(size));
    std::fill_n(slots, size, 0);
    made->slots = slots;
    made->mask = size - 1;
  }
  for (const Entry& entry : entries) {
    run.step();
    if (const Value* old = find(run, *made, entry.key)) {
      *const_cast<Value*>(old) = entry.value;
      continue;
    }
    if (slots != nullptr) {
      uint64_t slot = hash(run, entry.key) & made->mask;
      while (slots[slot] != 0) slot = (slot + 1) & made->mask;
      slots[slot] = static_cast<int32_t>(made->size + 1);
    }
    data[made->size++] = entry;
  }
  return {.kind = Kind::dict, .dict = made};
}

std::string_view type_name(const Value& value) noexcept {
  switch (value.kind) {
    case Kind::missing:
      break;
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return value.string->markup ? "Markup" : "str";
    case Kind::sequence:
      switch (value.sequence->kind) {
        case SequenceKind::list:
          return "list";
        case SequenceKind::tuple:
          return "tuple";
        case SequenceKind::group:
          return "_GroupTuple";
        case SequenceKind::range:
          return "range";
        case SequenceKind::keys:
          return "dict_keys";
        case SequenceKind::values:
          return "dict_values";
        case SequenceKind::items:
          return "dict_items";
        case SequenceKind::generator:
          return "generator";
      }
      break;
    case Kind::dict:
      return "dict";
    case Kind::name_space:
      return "Namespace";
    case Kind::loop:
      return "LoopContext";
    case Kind::function:
      return "function";
  }
  return "";
}

bool truth(const Value& value) noexcept {
  switch (value.kind) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean;
    case Kind::integer:
      return value.integer != 0;
    case Kind::real:
      return value.real != 0;
    case Kind::string:
      return value.string->size != 0;
    case Kind::sequence:
      return value.sequence->size != 0 || value.sequence->kind == SequenceKind::generator;
    case Kind::dict:
      return value.dict->size != 0;
    case Kind::name_space:
    case Kind::loop:
    case Kind::function:
      break;
  }
  return true;
}

bool is_number(const Value& value) noexcept {
  return value.is(Kind::boolean) || value.is(Kind::integer) || value.is(Kind::real);
}

int64_t as_integer(const Value& value) noexcept {
  return value.is(Kind::boolean) ? static_cast<int64_t>(value.boolean) : value.integer;
}

double as_real(const Value& value) noexcept {
  return value.is(Kind::real) ? value.real : static_cast<double>(as_integer(value));
}

bool is_undefined(const Value& value) noexcept { return value.is(Kind::undefined); }

void fail_undefined(Run& run, const Value& value) {
  const Undefined& what = *value.undefined;
  if (!what.hint.empty()) run.fail("{}", what.hint);
  if (what.owner.empty()) run.fail("'{}' is undefined", shown(what.name));
  run.fail("'{} object' has no attribute '{}'", what.owner, shown(what.name));
}

std::optional<int64_t> length(Run& run, const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return characters(run, *value.string);
    case Kind::sequence:
      if (value.sequence->kind == SequenceKind::generator) return std::nullopt;
      return value.sequence->size;
    case Kind::dict:
      return value.dict->size;
    default:
      return std::nullopt;
  }
}

std::optional<std::span<const Value>> elements(Run& run, const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return std::span<const Value>();
    case Kind::string: {
      const String& string = *value.string;
      const int64_t count = characters(run, string);
      Value* parts = run.make<Value>(count);
      int64_t at = 0;
      for (int64_t i = 0; i < count; ++i) {
        run.step();
        const int64_t end = at + character_bytes(string.data + at);
        parts[i] = part(run, string, at, end);
        at = end;
      }
      return std::span<const Value>(parts, static_cast<std::size_t>(count));
    }
    case Kind::sequence: {
      Sequence& all = *value.sequence;
      const auto rest =
          std::span(all.data + all.next, static_cast<std::size_t>(all.size - all.next));
      if (all.kind == SequenceKind::generator) all.next = all.size;
      return rest;
    }
    case Kind::dict: {
      Value* keys = run.make<Value>(value.dict->size);
      run.step(value.dict->size / 8);
      for (int64_t i = 0; i < value.dict->size; ++i) keys[i] = value.dict->entries[i].key;
      return std::span<const Value>(keys, static_cast<std::size_t>(value.dict->size));
    }
    default:
      return std::nullopt;
  }
}

std::span<const Value> iterate(Run& run, const Value& value) {
  const auto found = elements(run, value);
  if (!found) run.fail("'{}' object is not iterable", type_name(value));
  return *found;
}

const Value* find(Run& run, const Dict& dict, const Value& key) {
  if (dict.slots == nullptr) {
    (void)hash(run, key);  // a list is no key, wherever it is looked for
    for (int64_t i = 0; i < dict.size; ++i) {
      if (equal(run, dict.entries[i].key, key)) return &dict.entries[i].value;
    }
    return nullptr;
  }
  for (uint64_t slot = hash(run, key) & dict.mask; dict.slots[slot] != 0;
       slot = (slot + 1) & dict.mask) {
    run.step();
    const Entry& entry = dict.entries[dict.slots[slot] - 1];
    if (equal(run, entry.key, key)) return &entry.value;
  }
  return nullptr;
}

const Value* find(const Namespace& space, std::string_view name) noexcept {
  for (int64_t i = 0; i < space.size; ++i) {
    const Entry& entry = space.entries[i];
    if (entry.key.is(Kind::string) && entry.key.text() == name) return &entry.value;
  }
  return nullptr;
}

void assign(Run& run, Namespace& space, const Value& key, const Value& value) {
  run.step(space.size / 4);
  if (const Value* old = find(space, key.text())) {
    *const_cast<Value*>(old) = value;
    return;
  }
  if (space.size == space.capacity) {
    const int64_t capacity = std::max<int64_t>(8, 2 * space.capacity);
    Entry* more = run.make<Entry>(capacity);
    std::copy_n(space.entries, space.size, more);
    space.entries = more;
    space.capacity = capacity;
  }
  space.entries[space.size++] = {key, value};
}

bool equal(Run& run, const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) {
    if (a.is(Kind::real) || b.is(Kind::real)) return as_real(a) == as_real(b);
    return as_integer(a) == as_integer(b);
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      run.read(std::min(a.string->size, b.string->size));
      return a.text() == b.text();
    case Kind::sequence: {
      const Sequence& x = *a.sequence;
      const Sequence& y = *b.sequence;
      if (&x == &y) return true;
      if (x.kind != y.kind || x.size != y.size || x.kind == SequenceKind::generator) return false;
      const Run::Deeper deeper(run);
      for (int64_t i = 0; i < x.size; ++i) {
        run.step();
        if (!equal(run, x.data[i], y.data[i])) return false;
      }
      return true;
    }
    case Kind::dict: {
      if (a.dict == b.dict) return true;
      if (a.dict->size != b.dict->size) return false;
      const Run::Deeper deeper(run);
      for (int64_t i = 0; i < a.dict->size; ++i) {
        run.step();
        const Value* other = find(run, *b.dict, a.dict->entries[i].key);
        if (other == nullptr || !equal(run, a.dict->entries[i].value, *other)) return false;
      }
      return true;
    }
    case Kind::name_space:
      return a.name_space == b.name_space;
    case Kind::loop:
      return a.loop == b.loop;
    case Kind::function:
      return a.function == b.function;
    default:
      return false;
  }
}

int compare(Run& run, const Value& a, const Value& b, std::string_view sign) {
  defined(run, a);
  defined(run, b);
  if (is_number(a) && is_number(b)) {
    if (a.is(Kind::real) || b.is(Kind::real)) {
      const double x = as_real(a);
      const double y = as_real(b);
      return x < y ? -1 : x > y ? 1 : 0;
    }
    const int64_t x = as_integer(a);
    const int64_t y = as_integer(b);
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (a.is(Kind::string) && b.is(Kind::string)) {
    run.read(std::min(a.string->size, b.string->size));
    return a.text().compare(b.text());  // the order of UTF-8 is that of code points
  }
  const auto ordered = [](const Value& value) {
    return value.is(Kind::sequence) && (value.sequence->kind == SequenceKind::list ||
                                        value.sequence->kind == SequenceKind::tuple);
  };
  if (ordered(a) && ordered(b) && a.sequence->kind == b.sequence->kind) {
    const Run::Deeper deeper(run);
    const int64_t both = std::min(a.sequence->size, b.sequence->size);
    for (int64_t i = 0; i < both; ++i) {
      run.step();
      const Value& x = a.sequence->data[i];
      const Value& y = b.sequence->data[i];
      if (!equal(run, x, y)) return compare(run, x, y, sign);
    }
    return a.sequence->size < b.sequence->size ? -1 : a.sequence->size > b.sequence->size ? 1 : 0;
  }
  run.fail("'{}' not supported between instances of '{}' and '{}'", sign, type_name(a),
           type_name(b));
}

bool contains(Run& run, const Value& container, const Value& value) {
  switch (container.kind) {
    case Kind::string:
      if (!value.is(Kind::string)) {
        run.fail("'in <string>' requires string as left operand, not {}", type_name(value));
      }
      return find_text(run, container.text(), value.text(), 0) >= 0;
    case Kind::dict:
      return find(run, *container.dict, value) != nullptr;
    case Kind::sequence: {
      Sequence& all = *container.sequence;
      for (int64_t i = all.next; i < all.size; ++i) {
        run.step();
        if (all.kind == SequenceKind::generator) all.next = i + 1;
        if (equal(run, all.data[i], value)) return true;
      }
      return false;
    }
    case Kind::undefined:
      return false;
    default:
      run.fail("argument of type '{}' is not iterable", type_name(container));
  }
}

namespace {

uint64_t mix(uint64_t a, uint64_t b) noexcept {
  const uint64_t x = (a ^ (b + 0x9E3779B97F4A7C15u + (a << 6) + (a >> 2))) * 0xFF51AFD7ED558CCDu;
  return x ^ (x >> 33);
}

}  // namespace

uint64_t hash(Run& run, const Value& value) {
  switch (value.kind) {
    case Kind::boolean:
    case Kind::integer:
      return mix(1, static_cast<uint64_t>(as_integer(value)));
    case Kind::real: {
      const double number = value.real;
      if (number >= -0x1p62 && number <= 0x1p62 && std::trunc(number) == number) {
        return mix(1, static_cast<uint64_t>(static_cast<int64_t>(number)));
      }
      return mix(2, std::bit_cast<uint64_t>(number));
    }
    case Kind::string: {
      run.read(value.string->size);
      return mix(3, std::hash<std::string_view>()(value.text()));
    }
    case Kind::sequence: {
      const Sequence& all = *value.sequence;
      if (all.kind != SequenceKind::tuple && all.kind != SequenceKind::group) break;
      const Run::Deeper deeper(run);
      uint64_t sum = 4;
      for (int64_t i = 0; i < all.size; ++i) {
        run.step();
        sum = mix(sum, hash(run, all.data[i]));
      }
      return sum;
    }
    case Kind::dict:
      break;
    default:
      return mix(5, static_cast<uint64_t>(value.kind));
  }
  run.fail("unhashable type: '{}'", type_name(value));
}

}  // namespace regard::chat
