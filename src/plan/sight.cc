#include "plan/sight.h"

#include <algorithm>

namespace regard {

RowsSight::RowsSight(const Setting& setting, std::size_t index, int64_t kv_head)
    : setting_(setting),
      segment_(setting.segments[index]),
      index_(static_cast<int64_t>(index)),
      kv_head_(kv_head),
      position_(first_position(segment_)) {}

program::KeyRun RowsSight::raw(int64_t row) const {
  const program::Band& band = setting_.band;
  const int64_t r = row / setting_.group, i = position_ + r;
  return {std::max({band.from, i + band.from_query, r + band.from_row, int64_t{0}}),
          std::min({band.to, i + band.to_query, r + band.to_row, segment_.keys})};
}

program::KeyRun RowsSight::run(int64_t first_row, int64_t count) const {
  if (count == 0) return {0, 0};
  const int64_t first = raw(first_row).first, end = raw(first_row + count - 1).end;
  return first < end ? program::KeyRun{first, end} : program::KeyRun{0, 0};
}

void RowsSight::spans(int64_t first_row, int64_t count, int64_t key, int keys,
                      KeySpan* seen) const {
  const program::KeyRun lowest = raw(first_row), highest = raw(first_row + count - 1);
  if (highest.first <= key && lowest.end >= key + keys) {
    std::fill_n(seen, count, KeySpan{0, keys});
    return;
  }
  for (int64_t r = 0; r < count; ++r) {
    const program::KeyRun of_row = raw(first_row + r);
    const int64_t first = std::clamp<int64_t>(of_row.first - key, 0, keys);
    const int64_t end = std::clamp<int64_t>(of_row.end - key, 0, keys);
    seen[r] =
        first < end ? KeySpan{static_cast<int32_t>(first), static_cast<int32_t>(end)} : KeySpan{};
  }
}

Sight RowsSight::look(int64_t first_row, int64_t count, int64_t first_key, int64_t end_key,
                      std::span<Interval> scratch) const {
  if (!setting_.programs.masks()) return Sight::all;
  const int64_t group = setting_.group;
  const int64_t first = first_row / group, last = (first_row + count - 1) / group;
  Ranges ranges;
  ranges.batch = {index_, index_};
  ranges.head = {kv_head_ * group, (kv_head_ + 1) * group - 1};
  if (first == last) {
    ranges.head.first += first_row % group;
    ranges.head.last = ranges.head.first + count - 1;
  }
  ranges.i = {position_ + first, position_ + last};
  ranges.j = {first_key, end_key - 1};
  ranges.row = {first, last};
  ranges.i_minus_row = position_;
  ranges.sequence.first = ranges.sequence.last =
      sequence_of(segment_, static_cast<std::size_t>(index_));
  return setting_.programs.look(ranges, scratch);
}

TileWalk::TileWalk(const RowsSight& sight, int64_t first_row, int64_t count, int64_t first_key,
                   int64_t end_key, std::span<Interval> scratch)
    : sight_(sight), first_row_(first_row), count_(count), scratch_(scratch) {
  const program::KeyRun run = sight.run(first_row, count);
  first_key_ = std::max(first_key, run.first);
  end_key_ = std::min(end_key, run.end);
  key_ = first_key_ / kTileKeys * kTileKeys;
}

TileVisit TileWalk::next() {
  for (; key_ < end_key_; key_ += kTileKeys) {
    const int64_t end = std::min(key_ + kTileKeys, end_key_);
    const Sight sight = sight_.look(first_row_, count_, std::max(key_, first_key_), end, scratch_);
    if (sight == Sight::none) continue;
    const TileVisit visit{key_, static_cast<int>(end - key_), sight};
    key_ += kTileKeys;
    return visit;
  }
  return {};
}

}  // namespace regard
