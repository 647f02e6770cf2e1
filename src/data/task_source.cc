#include "data/task_source.h"

#include "base/check.h"
#include "data/filler.h"

namespace regard::data {

Batch TaskSource::fill(Cursor& cursor, tasks::Split split) const {
  Filler filler(filling_);
  for (;; ++cursor.next) {
    const tasks::Example example = task_.example(seed_, cursor.next, split);
    std::vector<Id> ids = example.source;
    ids.push_back(tasks::kStart);
    ids.insert(ids.end(), example.target.begin(), example.target.end());
    ids.push_back(tasks::kStop);
    const int64_t tokens = std::ssize(ids) - 1;
    require(tokens <= filling_.length,
            "task {}: example {} has {} tokens, data.length is {}; make it longer", task_.name(),
            cursor.next, tokens, filling_.length);
    if (!filler.fits(tokens)) return filler.take();
    std::vector<float> weights(static_cast<std::size_t>(tokens), 1);
    if (loss_ == Loss::answer) std::fill_n(weights.begin(), example.source.size(), 0.0f);
    const std::span<const Id> all = ids;
    filler.add(all.first(all.size() - 1), all.subspan(1), weights);
  }
}

Batch TaskSource::next(Cursor& cursor) const { return fill(cursor, tasks::Split::train); }

std::vector<Batch> TaskSource::held_out(int64_t most) const {
  std::vector<Batch> made;
  Cursor cursor;
  for (int64_t i = 0; i < most; ++i) made.push_back(fill(cursor, tasks::Split::held_out));
  return made;
}

}  // namespace regard::data
