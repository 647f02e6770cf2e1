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

Reach RowsSight::reach(int64_t first_row, int64_t count) const {
  if (count == 0) return {{0, 0}, {0, 0}};
  const program::KeyRun lowest = raw(first_row), highest = raw(first_row + count - 1);
  const program::KeyRun any{lowest.first, highest.end}, all{highest.first, lowest.end};
  return {any.first < any.end ? any : program::KeyRun{0, 0}, all};
}

void RowsSight::spans(int64_t first_row, int64_t count, const Reach& reach, int64_t tile,
                      const program::KeyRun& keys, KeySpan* seen) const {
  const auto span = [&](const program::KeyRun& of_row) {
    const int64_t first = std::max(of_row.first, keys.first), end = std::min(of_row.end, keys.end);
    return first < end
               ? KeySpan{static_cast<int32_t>(first - tile), static_cast<int32_t>(end - tile)}
               : KeySpan{};
  };
  if (reach.all.first <= keys.first && reach.all.end >= keys.end) {
    std::fill_n(seen, count, span(keys));
    return;
  }
  for (int64_t r = 0; r < count; ++r) seen[r] = span(raw(first_row + r));
}

Sight RowsSight::narrow(int64_t first_row, int64_t count, program::KeyRun& keys,
                        std::span<Interval> scratch) const {
  const auto none = [&](int64_t first, int64_t end) {
    return look(first_row, count, first, end, scratch) == Sight::none;
  };
  const Sight whole = look(first_row, count, keys.first, keys.end, scratch);
  if (whole != Sight::some) return whole;
  bool narrower = false;
  while (keys.end - keys.first > kPanelKeys) {
    const int64_t middle = (keys.first + keys.end) / 2 / kPanelKeys * kPanelKeys;
    if (middle <= keys.first) break;
    if (none(middle, keys.end)) {
      keys.end = middle;
    } else if (none(keys.first, middle)) {
      keys.first = middle;
    } else {
      break;
    }
    narrower = true;
  }
  return narrower ? look(first_row, count, keys.first, keys.end, scratch) : Sight::some;
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
  skips_ = sight.masked();
}

// Leaves out blocks of tiles that nobody sees.
void TileWalk::skip() {
  for (const int64_t block : {int64_t{64} * kTileKeys, int64_t{8} * kTileKeys}) {
    while (key_ < end_key_ && key_ % block == 0 &&
           sight_.look(first_row_, count_, key_, std::min(key_ + block, end_key_), scratch_) ==
               Sight::none) {
      key_ += block;
    }
  }
}

TileVisit TileWalk::next() {
  while (key_ < end_key_) {
    if (skips_) skip();
    if (key_ >= end_key_) break;
    const int64_t first = std::max(key_, first_key_), end = std::min(key_ + kTileKeys, end_key_);
    const TileVisit visit{key_, static_cast<int>(end - key_),
                          sight_.look(first_row_, count_, first, end, scratch_)};
    key_ += kTileKeys;
    if (visit.sight != Sight::none) return visit;
  }
  return {};
}

}  // namespace regard
