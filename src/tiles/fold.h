// Attention on tiles: a block of query rows folds one tile of 128 keys after another into an
// online softmax state. Numbers in, numbers out; which rows, keys and pages is the operator's work.
//
//   q  the scaled queries, packed             s  scores, then p = exp(s - m), [rows, 128]
//   m  the largest score so far               l  Σ p, in 16 partial sums (lane = key mod 16)
//   o  Σ p v, [rows, columns]                 empty: m = -inf, l = 0, o = 0
//
// Order of operations (the bit contract, docs/bits.md): a score is one chain over dim; o is one
// chain over the keys of a chunk; maximum and rescale cover one absolute tile of 128 keys; the
// state restarts every 512 keys and chunks are merged in order. None of it depends on the number
// of rows folded together.
#pragma once

#include <cstdint>

#include "interpreter/sizes.h"
#include "regard/dtype.h"

namespace regard {

inline constexpr int kChunkKeys = 512;  // keys between two restarts of the state
inline constexpr int kPackedRows = 12;  // packed rows come in whole groups, of any tile's height
inline constexpr int kStageFrom = 9;    // from so many rows a 16-bit tile must be staged first

struct Scoring;  // interpreter/program.h: what a program makes of the scores

// Up to 128 keys and their values, wherever they lie.
struct KeyTile {
  DType k_dtype = DType::f32;  // f32, f16, bf16 or i8
  DType v_dtype = DType::f32;
  int keys = 0;                              // 1 .. 128; memory behind the last one is not used
  const void* keys_of_panel[kTilePanels];    // [dim][16]
  const void* values_of_panel[kTilePanels];  // 16 keys, their first columns
  // Where set, the scores of a panel's keys are multiplied by their scale, and their weights p in
  // the value product by that of their value: what is stored as i8 (int8.h). [16] each.
  bool scaled_keys = false, scaled_values = false;
  const float* key_scales_of_panel[kTilePanels];
  const float* value_scales_of_panel[kTilePanels];
  int64_t value_step = 0;            // from one key to the next
  int64_t column_step = kPanelKeys;  // from 16 columns to the next 16
  uint8_t special = 0;  // bit p: panel p may hold a value (or its scale) that is NaN or infinite
};

// What a fold asks memory for while it computes, so that nobody waits for it later.
struct Ahead {
  const KeyTile* tile = nullptr;  // the next one; null: none
  int part = 0, parts = 1;        // which part of it; rows < kStageFrom ask for all
  const void* const* rows =
      nullptr;  // null, or for each row an address whose row_bytes are asked for
  int64_t row_bytes = 0;
};

// State of a row block. Arrays cover rows rounded up to 16.
struct FoldState {
  float* m;         // [rows]
  float* l;         // [rows][16]
  float* o;         // [rows][columns]
  int64_t columns;  // of o; a multiple of 16
};

// Empties the state of rows rows.
void clear_state(const FoldState& state, int rows) noexcept;

// Folds one tile into the state; scoring: null, or what changes the scores and masks keys among the
// visible ones; fresh: into an empty state, whatever the memory holds.
// q: pack_queries' rows. visible[r]: row r may use the tile's keys 0 .. visible[r] - 1. scores:
// scratch of rows * 128 + 512 numbers. rows <= kFoldRows, and rows < kStageFrom unless the tile is
// a staged one.
void fold_tile(const float* q, int64_t dim, int rows, const int32_t* visible, const KeyTile& tile,
               const Ahead& ahead, const Scoring* scoring, bool fresh, const FoldState& state,
               float* scores) noexcept;

// Asks for a whole tile at once: the first one, which no other goes before.
void prefetch_tile(const KeyTile& tile, int64_t dim, int64_t columns) noexcept;

// What is left of a chunk, or of several: no lanes, l summed.
struct RowState {
  float* m;  // [rows]
  float* l;  // [rows]
  float* o;  // [rows][columns]
  int64_t columns;
};

// into = into ⊕ chunk, the later keys on the right. first: into is empty, and becomes the chunk,
// whose o may already lie there.
void merge_chunk(const FoldState& chunk, int rows, bool first, const RowState& into) noexcept;
// The same for a stored chunk: a split-key worker's result.
void merge_state(const RowState& chunk, int rows, bool first, const RowState& into) noexcept;

// out = o / l, zeros where l = 0; lse = m + log l, -inf where l = 0. out_of_row[r]: [dim_v]
// numbers, out_step apart. lse_of_row may be null.
void finish_rows(const RowState& state, int rows, int64_t dim_v, float* const* out_of_row,
                 int64_t out_step, float* const* lse_of_row) noexcept;

// Scores of one packed row against the tile's keys: the same chain as fold_tile's. out [128].
void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) noexcept;
// weights[j] = exp(scores[j] - m) / l, n numbers.
void weigh_row(const float* scores, int64_t n, float m, float l, float* weights) noexcept;

// A tile made ready for many rows: widened to f32, and values laid out as [columns / 16][128][16],
// so that a pair of columns is contiguous and stays in the first cache (strided, 512-byte rows
// share an eighth of its sets; of 256 bytes and less they do no harm and stay where they are).
// panels: [8][dim][16]. Only the tile's own keys are touched.
KeyTile stage_tile(const KeyTile& tile, int64_t dim, int64_t columns, float* panels,
                   float* values) noexcept;

// Up to 16 keys into a transposed panel: panel[d * 16 + lane] = rows[key][d], lane = first_lane +
// key, each rounded once to the panel's dtype.
void pack_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim, int count,
               int first_lane, DType dtype, void* panel) noexcept;
// One value row, rounded once; numbers up to columns become 0. Returns whether all are finite.
bool pack_values(const float* row, int64_t step, int64_t dim_v, int64_t columns, DType dtype,
                 void* out) noexcept;

// count rows of q, each number times scale, rounded once, packed for fold_tile: groups of as many
// rows as the target's tile is tall, each [dim][rows]. out: count rounded up to a multiple of
// kPackedRows, times dim.
void pack_queries(const float* const* rows, int64_t step, int count, int64_t dim, float scale,
                  float* out) noexcept;

}  // namespace regard
