// Filters of sequences and dicts: map, select, sort, join, groupby and their kin.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "chat/builtins.h"
#include "chat/evaluate.h"
#include "values/character.h"
#include "values/convert.h"
#include "values/methods.h"
#include "values/operators.h"
#include "values/print.h"

namespace regard::chat {
namespace {

Value generator(Run& run, std::span<const Value> values) {
  return sequence(run, SequenceKind::generator, values);
}

Value list_of(Run& run, std::span<const Value> values) {
  return sequence(run, SequenceKind::list, values);
}

bool is_given(const Arguments& all, std::size_t index) {
  return all.has(index) && !all[index].is(Kind::none);
}

bool flag(const Arguments& all, std::size_t index) { return all.has(index) && truth(all[index]); }

int64_t whole(const Arguments& all, std::size_t index) {
  if (!all[index].is(Kind::integer) && !all[index].is(Kind::boolean)) {
    defined(all.run, all[index]);
    all.run.fail("'{}' object cannot be interpreted as an integer", type_name(all[index]));
  }
  return as_integer(all[index]);
}

// "a.b.0" looked up in an element; none: the element itself.
class Getter {
 public:
  Getter(Run& run, const Value& path, const Value& other = none(), bool ignore_case = false)
      : run_(run), other_(other), ignore_case_(ignore_case) {
    if (path.is(Kind::none) || path.is(Kind::missing)) return;
    if (!path.is(Kind::string)) {
      keys_.push_back(path);
      return;
    }
    std::string_view rest = path.text();
    while (true) {
      run.step();
      const std::size_t end = std::min(rest.find('.'), rest.size());
      const std::string_view word = rest.substr(0, end);
      const bool digits = !word.empty() && word.size() < 18 &&
                          word.find_first_not_of("0123456789") == std::string_view::npos;
      keys_.push_back(digits ? integer(*parse_integer(run, word)) : text(run, word));
      if (end == rest.size()) return;
      rest.remove_prefix(end + 1);
    }
  }

  Value operator()(Value item) const {
    for (const Value& key : keys_) {
      item = subscript(run_, item, key);
      if (is_undefined(item) && !other_.is(Kind::none)) item = other_;
    }
    return ignore_case_ && item.is(Kind::string) ? with_case(run_, *item.string, Case::lower)
                                                 : item;
  }

 private:
  Run& run_;
  Value other_;
  bool ignore_case_;
  std::vector<Value> keys_;
};

Value with_attribute(const Arguments& all, std::size_t index) {
  return all.has(index) ? all[index] : none();
}

Call rest_of(const Call& call, std::size_t first) {
  Call rest;
  rest.positional.assign(call.positional.begin() + static_cast<std::ptrdiff_t>(first),
                         call.positional.end());
  rest.named = call.named;
  return rest;
}

std::string_view name_of(const Arguments& all, std::size_t index) {
  const Value& name = all.call.positional[index];
  defined(all.run, name);
  if (!name.is(Kind::string)) all.run.fail("the name of a filter or test is a text");
  return name.text();
}

Value map(const Arguments& all) {
  std::vector<Value> values;
  const auto items = iterate(all.run, all.self);
  if (all.call.positional.empty()) {
    Value path = missing();
    Value other = none();
    for (const auto& [name, value] : all.call.named) {
      if (name == "attribute") {
        path = value;
      } else if (name == "default") {
        other = value;
      } else if (!items.empty()) {
        all.run.fail("Unexpected keyword argument '{}'", shown(name));
      }
    }
    if (path.is(Kind::missing) && !items.empty()) all.run.fail("map requires a filter argument");
    const Getter get(all.run, path, other);
    for (const Value& item : items) {
      all.run.step();
      values.push_back(get(item));
    }
  } else {
    const Call rest = rest_of(all.call, 1);
    for (const Value& item : items) {
      all.run.step();
      values.push_back(all.evaluator.filter(name_of(all, 0), item, rest));
    }
  }
  return generator(all.run, values);
}

template <bool wanted, bool by_attribute>
Value select(const Arguments& all) {
  std::vector<Value> values;
  const auto items = iterate(all.run, all.self);
  if (items.empty()) return generator(all.run, values);
  constexpr std::size_t kName = by_attribute ? 1 : 0;
  const auto& given = all.call.positional;
  if (by_attribute && given.empty()) all.run.fail("Missing parameter for attribute name");
  const Getter get(all.run, by_attribute ? given[0] : none());
  const bool tests = given.size() > kName;
  const Call rest = tests ? rest_of(all.call, kName + 1) : Call{};
  for (const Value& item : items) {
    all.run.step();
    const Value looked_at = get(item);
    const bool holds =
        tests ? all.evaluator.test(name_of(all, kName), looked_at, rest) : truth(looked_at);
    if (holds == wanted) values.push_back(item);
  }
  return generator(all.run, values);
}

Value join(const Arguments& all) {
  const Value between = all.has(0) ? to_string(all.run, all[0]) : fixed_text(all.run, "");
  std::vector<Value> values;
  const Getter get(all.run, with_attribute(all, 1));
  for (const Value& item : iterate(all.run, all.self)) {
    all.run.step();
    values.push_back(get(item));
  }
  return joined_text(all.run, *between.string, values);
}

Value first(const Arguments& all) {
  if (all.self.is(Kind::sequence) && all.self.sequence->kind == SequenceKind::generator) {
    Sequence& values = *all.self.sequence;
    if (values.next < values.size) return values.data[values.next++];
  } else {
    const auto items = iterate(all.run, all.self);
    if (!items.empty()) return items[0];
  }
  return undefined(all.run, "", "", "No first item, sequence was empty.");
}

Value last(const Arguments& all) {
  if (!length(all.run, all.self)) {
    all.run.fail("'{}' object is not reversible", type_name(all.self));
  }
  const auto items = iterate(all.run, all.self);
  if (!items.empty()) return items.back();
  return undefined(all.run, "", "", "No last item, sequence was empty.");
}

Value list(const Arguments& all) { return list_of(all.run, iterate(all.run, all.self)); }

Value reverse(const Arguments& all) {
  if (all.self.is(Kind::string)) {
    return slice(all.run, all.self, {none(), none(), integer(-1)});
  }
  const auto items = iterate(all.run, all.self);
  std::vector<Value> values(items.rbegin(), items.rend());
  // Python gives a list where there is no length, and an iterator where there is one.
  return length(all.run, all.self) ? generator(all.run, values) : list_of(all.run, values);
}

struct Keyed {
  std::vector<Value> keys;
  Value value;
};

// Stable; backwards, equals keep their order.
void sort_by_keys(Run& run, std::vector<Keyed>& items, bool backwards) {
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    run.step();
    for (std::size_t i = 0; i < a.keys.size(); ++i) {
      if (a.keys.size() > 1 && equal(run, a.keys[i], b.keys[i])) continue;
      const int order = compare(run, a.keys[i], b.keys[i]);
      return backwards ? order > 0 : order < 0;
    }
    return false;
  });
}

Value sort(const Arguments& all) {
  const bool ignore_case = !flag(all, 1);
  std::vector<Getter> getters;
  if (all.has(2) && all[2].is(Kind::string)) {
    for (std::string_view rest = all[2].text(); true;) {
      const std::size_t end = std::min(rest.find(','), rest.size());
      getters.emplace_back(all.run, text(all.run, rest.substr(0, end)), none(), ignore_case);
      if (end == rest.size()) break;
      rest.remove_prefix(end + 1);
    }
  } else {
    getters.emplace_back(all.run, with_attribute(all, 2), none(), ignore_case);
  }
  std::vector<Keyed> items;
  for (const Value& item : iterate(all.run, all.self)) {
    Keyed keyed{{}, item};
    for (const Getter& get : getters) keyed.keys.push_back(get(item));
    items.push_back(std::move(keyed));
  }
  sort_by_keys(all.run, items, flag(all, 0));
  std::vector<Value> values;
  for (const Keyed& item : items) values.push_back(item.value);
  return list_of(all.run, values);
}

const Dict& needed_dict(const Arguments& all) {
  defined(all.run, all.self);
  if (!all.self.is(Kind::dict)) all.run.fail("'{}' object has no items", type_name(all.self));
  return *all.self.dict;
}

Value pair_of(Run& run, const Entry& entry) {
  const Value pair[] = {entry.key, entry.value};
  return sequence(run, SequenceKind::tuple, pair);
}

Value dictsort(const Arguments& all) {
  const std::string_view by = all.has(1) && all[1].is(Kind::string) ? all[1].text()
                              : all.has(1)                          ? "?"
                                                                    : "key";
  if (by != "key" && by != "value") {
    all.run.fail("You can only sort by either \"key\" or \"value\"");
  }
  const Getter get(all.run, none(), none(), !flag(all, 0));
  const Dict& dict = needed_dict(all);
  std::vector<Keyed> items;
  for (int64_t i = 0; i < dict.size; ++i) {
    const Entry& entry = dict.entries[i];
    items.push_back({{get(by == "key" ? entry.key : entry.value)}, pair_of(all.run, entry)});
  }
  sort_by_keys(all.run, items, flag(all, 2));
  std::vector<Value> values;
  for (const Keyed& item : items) values.push_back(item.value);
  return list_of(all.run, values);
}

Value items(const Arguments& all) {
  std::vector<Value> values;
  if (!is_undefined(all.self)) {
    if (!all.self.is(Kind::dict)) all.run.fail("Can only get item pairs from a mapping.");
    const Dict& dict = *all.self.dict;
    for (int64_t i = 0; i < dict.size; ++i) {
      all.run.step();
      values.push_back(pair_of(all.run, dict.entries[i]));
    }
  }
  return generator(all.run, values);
}

Value unique(const Arguments& all) {
  const Getter get(all.run, with_attribute(all, 1), none(), !flag(all, 0));
  std::unordered_multimap<uint64_t, Value> seen;
  std::vector<Value> values;
  for (const Value& item : iterate(all.run, all.self)) {
    const Value key = get(item);
    const uint64_t sum = hash(all.run, key);
    const auto [begin, end] = seen.equal_range(sum);
    const bool known = std::any_of(begin, end, [&](const auto& one) {
      all.run.step();
      return equal(all.run, one.second, key);
    });
    if (known) continue;
    seen.emplace(sum, key);
    values.push_back(item);
  }
  return generator(all.run, values);
}

template <bool largest>
Value extreme(const Arguments& all) {
  const auto values = iterate(all.run, all.self);
  if (values.empty()) {
    return undefined(all.run, "", "", "No aggregated item, sequence was empty.");
  }
  const Getter get(all.run, with_attribute(all, 1), none(), !flag(all, 0));
  std::size_t best = 0;
  Value best_key = get(values[0]);
  for (std::size_t i = 1; i < values.size(); ++i) {
    all.run.step();
    const Value key = get(values[i]);
    if (compared(all.run, largest ? Operator::greater : Operator::less, key, best_key)) {
      best = i;
      best_key = key;
    }
  }
  return values[best];
}

Value sum(const Arguments& all) {
  const Getter get(all.run, with_attribute(all, 0));
  Value total = all.has(1) ? all[1] : integer(0);
  if (total.is(Kind::string)) all.run.fail("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : iterate(all.run, all.self)) {
    total = arithmetic(all.run, Operator::add, total, get(item));
  }
  return total;
}

Value batch(const Arguments& all) {
  const int64_t size = whole(all, 0);
  std::vector<Value> rows;
  std::vector<Value> row;
  for (const Value& item : iterate(all.run, all.self)) {
    all.run.step();
    if (std::ssize(row) == size) {
      rows.push_back(list_of(all.run, row));
      row.clear();
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    if (is_given(all, 1)) {
      all.run.step(std::max<int64_t>(size - std::ssize(row), 0));
      while (std::ssize(row) < size) row.push_back(all[1]);
    }
    rows.push_back(list_of(all.run, row));
  }
  return generator(all.run, rows);
}

Value slices(const Arguments& all) {
  const int64_t count = whole(all, 0);
  if (count == 0) all.run.fail("integer division or modulo by zero");
  const auto values = iterate(all.run, all.self);
  const auto size = std::ssize(values);
  std::vector<Value> rows;
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    all.run.step();
    const bool longer = i < size % count;
    const int64_t end = at + size / count + (longer ? 1 : 0);
    std::vector<Value> row(values.begin() + at, values.begin() + end);
    if (is_given(all, 1) && !longer) row.push_back(all[1]);
    rows.push_back(list_of(all.run, row));
    at = end;
  }
  return generator(all.run, rows);
}

Value groupby(const Arguments& all) {
  const bool ignore_case = !flag(all, 2);
  const Value other = all.has(1) ? all[1] : none();
  const Getter get(all.run, all[0], other, ignore_case);
  const Getter real_key(all.run, all[0], other);
  std::vector<Keyed> items;
  for (const Value& item : iterate(all.run, all.self)) items.push_back({{get(item)}, item});
  sort_by_keys(all.run, items, false);
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < items.size();) {
    std::vector<Value> members;
    std::size_t end = begin;
    while (end < items.size() && equal(all.run, items[begin].keys[0], items[end].keys[0])) {
      members.push_back(items[end++].value);
    }
    if (end == begin) members.push_back(items[end++].value);  // a NaN equals nothing
    const Value group[] = {real_key(members[0]), list_of(all.run, members)};
    groups.push_back(sequence(all.run, SequenceKind::group, group));
    begin = end;
  }
  return list_of(all.run, groups);
}

constexpr Builtin kFilters[] = {
    {"selectattr", select<true, true>, "*"},
    {"rejectattr", select<false, true>, "*"},
    {"select", select<true, false>, "*"},
    {"reject", select<false, false>, "*"},
    {"map", map, "*"},
    {"join", join, "d attribute"},
    {"first", first},
    {"last", last},
    {"list", list},
    {"items", items},
    {"reverse", reverse},
    {"sort", sort, "reverse case_sensitive attribute"},
    {"dictsort", dictsort, "case_sensitive by reverse"},
    {"unique", unique, "case_sensitive attribute"},
    {"min", extreme<false>, "case_sensitive attribute"},
    {"max", extreme<true>, "case_sensitive attribute"},
    {"sum", sum, "attribute start"},
    {"batch", batch, "linecount fill_with", 1},
    {"slice", slices, "slices fill_with", 1},
    {"groupby", groupby, "attribute default case_sensitive", 1},
};

}  // namespace

std::span<const Builtin> sequence_filters() noexcept { return kFilters; }

const Builtin* find_filter(std::string_view name) noexcept {
  for (const auto table : {text_filters(), sequence_filters(), number_filters()}) {
    if (const Builtin* found = find_builtin(table, name)) return found;
  }
  return nullptr;
}

}  // namespace regard::chat
