// RowsSight: which keys the rows of a segment may use, by the band for each row and by the mask's
// bounds for whole blocks, so that tiles that nobody sees are never loaded.
#pragma once

#include <cstdint>
#include <span>

#include "plan/setting.h"

namespace regard {

// The keys that the band leaves to any of some rows, and to all of them.
struct Reach {
  program::KeyRun any, all;
};

class RowsSight {
 public:
  // Rows of one key/value head of the index-th segment.
  RowsSight(const Setting& setting, std::size_t index, int64_t kv_head);

  // The keys that the band leaves to any of these rows, all of them in one run; first <= end.
  program::KeyRun run(int64_t first_row, int64_t count) const {
    return reach(first_row, count).any;
  }
  Reach reach(int64_t first_row, int64_t count) const;
  // Of these keys of the tile that begins at `tile`, those that each row may use by the band.
  // reach: of these rows.
  void spans(int64_t first_row, int64_t count, const Reach& reach, int64_t tile,
             const program::KeyRun& keys, KeySpan* seen) const;
  // What the mask's program leaves of these rows and keys.
  Sight look(int64_t first_row, int64_t count, int64_t first_key, int64_t end_key,
             std::span<Interval> scratch) const;
  // The same, and takes from either end of the keys what nobody sees.
  Sight narrow(int64_t first_row, int64_t count, program::KeyRun& keys,
               std::span<Interval> scratch) const;

  int64_t position() const { return position_; }
  bool masked() const { return setting_.programs.masks(); }

 private:
  // The band's run of one row, not cut to nothing where it is empty: both ends rise with the row.
  program::KeyRun raw(int64_t row) const;

  const Setting& setting_;
  const Segment& segment_;
  int64_t index_, kv_head_, position_;
};

// One tile of a walk through the keys of some rows.
struct TileVisit {
  int64_t key = -1;  // the first; -1: the walk is over
  int keys = 0;
  Sight sight = Sight::all;
};

// Goes through the tiles of the keys first .. end - 1 that some of the rows may use, in order.
class TileWalk {
 public:
  TileWalk(const RowsSight& sight, int64_t first_row, int64_t count, int64_t first_key,
           int64_t end_key, std::span<Interval> scratch);
  TileVisit next();

 private:
  void skip();

  const RowsSight& sight_;
  int64_t first_row_, count_, key_, first_key_, end_key_;
  std::span<Interval> scratch_;
  bool skips_;
};

}  // namespace regard
