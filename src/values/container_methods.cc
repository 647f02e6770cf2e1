// What dicts and lists can be asked. Those without a function would change them: a template may
// not.
#include <vector>

#include "values/operators.h"

namespace regard::chat {
namespace {

Value dict_view(const Arguments& all, SequenceKind kind) {
  const Dict& dict = *all.self.dict;
  all.run.step(dict.size / 4);
  std::vector<Value> values;
  for (int64_t i = 0; i < dict.size; ++i) {
    const Entry& entry = dict.entries[i];
    if (kind == SequenceKind::keys) {
      values.push_back(entry.key);
    } else if (kind == SequenceKind::values) {
      values.push_back(entry.value);
    } else {
      const Value pair[] = {entry.key, entry.value};
      values.push_back(sequence(all.run, SequenceKind::tuple, pair));
    }
  }
  return sequence(all.run, kind, values);
}

template <SequenceKind kind>
Value view(const Arguments& all) {
  return dict_view(all, kind);
}

Value get(const Arguments& all) {
  if (const Value* found = find(all.run, *all.self.dict, all[0])) return *found;
  return all.has(1) ? all[1] : none();
}

Value copy(const Arguments& all) { return all.self; }  // nothing can be changed

constexpr Builtin kDictMethods[] = {
    {"get", get, "key default", 1},
    {"items", view<SequenceKind::items>},
    {"keys", view<SequenceKind::keys>},
    {"values", view<SequenceKind::values>},
    {"copy", copy},
    {"clear", nullptr},
    {"pop", nullptr},
    {"popitem", nullptr},
    {"setdefault", nullptr},
    {"update", nullptr},
};

Value position(const Arguments& all) {
  const Sequence& values = *all.self.sequence;
  for (int64_t i = 0; i < values.size; ++i) {
    all.run.step();
    if (equal(all.run, values.data[i], all[0])) return integer(i);
  }
  all.run.fail("the value is not in the list");
}

Value occurrences(const Arguments& all) {
  int64_t times = 0;
  const Sequence& values = *all.self.sequence;
  for (int64_t i = 0; i < values.size; ++i) {
    all.run.step();
    times += equal(all.run, values.data[i], all[0]) ? 1 : 0;
  }
  return integer(times);
}

constexpr Builtin kListMethods[] = {
    {"index", position, "value", 1},
    {"count", occurrences, "value", 1},
    {"copy", copy},
    {"append", nullptr},
    {"clear", nullptr},
    {"pop", nullptr},
    {"reverse", nullptr},
    {"insert", nullptr},
    {"sort", nullptr},
    {"extend", nullptr},
    {"remove", nullptr},
};

}  // namespace

std::span<const Builtin> dict_methods() noexcept { return kDictMethods; }
std::span<const Builtin> sequence_methods(const Sequence& all) noexcept {
  if (all.kind == SequenceKind::list) return kListMethods;
  if (all.kind > SequenceKind::range) return {};
  return std::span(kListMethods).first(2);
}

}  // namespace regard::chat
