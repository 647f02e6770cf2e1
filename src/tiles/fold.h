// Attention on tiles: a block of query rows folds one tile of 128 keys after another into an
// online state (of softmax, or a simpler normaliser). Numbers in, numbers out; which rows, keys and
// pages is the operator's work.
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

// The keys first .. end - 1 of a tile that a row may use; first = end = 0 where it may use none.
struct KeySpan {
  int32_t first = 0, end = 0;
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

// How a fold makes weights of scores.
//   softmax  p = exp(s - m), l = Σ p       sigmoid  p = σ(s), l = Σ p, out is not divided by it
//   relu     p = max(s, 0), l = Σ p        hardmax  p = 1 for the first of the largest so far,
// whose o and m replace the state's; l is then 1 + that key, as an integer's bits, and NaN after a
// NaN. sigmoid and relu keep m = 0.
// sparsemax and entmax15 take two passes: weights.h.
enum class Weighing : uint8_t { softmax, sigmoid, relu, hardmax, sparsemax, entmax15 };

// A block of rows and what becomes of its scores.
struct FoldRows {
  const float* q = nullptr;  // pack_queries' rows
  int64_t dim = 0;
  int rows = 0;                   // 1 .. kFoldRows, and below kStageFrom unless tiles are staged
  const KeySpan* seen = nullptr;  // [rows]
  Weighing weighing = Weighing::softmax;
  const Scoring* scoring = nullptr;  // null, or what changes the scores and masks seen keys
  const Scoring* weights = nullptr;  // null, or a program of p, linear in it; l does without it
  // Null, or additive similarity in place of the product, q packed as it is: v of each row [dim].
  const float* const* additive = nullptr;
  float additive_scale = 1;
  int32_t first_key = 0;    // of the tile, in its sequence: hardmax
  float* scores = nullptr;  // scratch: rows * 128 + 512 numbers
};

// Folds one tile into the state; fresh: into an empty state, whatever the memory holds.
void fold_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead, bool fresh,
               const FoldState& state) noexcept;

// The two halves of it, for weights that depend on all scores of a row (weights.h).
// scores [rows][128]: -inf for every key that the row may not use, up to the 128th.
void score_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead) noexcept;
// o = o + p v (fresh: p v) with p = rows.scores behind rows.weights, of any kind, and 0 for every
// key that the row may not use. rows.scoring: as in score_tile, its allowed keys still there.
void add_tile(const FoldRows& rows, const KeyTile& tile, const Ahead& ahead, bool fresh,
              const FoldState& state) noexcept;

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
void merge_chunk(Weighing weighing, const FoldState& chunk, int rows, bool first,
                 const RowState& into) noexcept;
// The same for a stored chunk: a split-key worker's result.
void merge_state(Weighing weighing, const RowState& chunk, int rows, bool first,
                 const RowState& into) noexcept;

// Where finished rows go. Arrays of [rows]; all but out_of_row may be null.
struct FinishedRows {
  DType dtype = DType::f32;           // of out: f32, f16 or bf16, rounded once to nearest even
  void* const* out_of_row = nullptr;  // [dim_v] numbers, out_step apart
  int64_t out_step = 1;
  int64_t dim_v = 0;
  float* const* lse_of_row = nullptr;  // m + log l without the sink, -inf where l = 0
  const float* sinks = nullptr;        // a key of that score that gives nothing: softmax
  // What a weight is made of again, exp(s - m) / l: with the sink, hardmax's l as it is.
  float* m = nullptr;
  float* l = nullptr;
};
// out = o / l, zeros where l = 0.
void finish_rows(Weighing weighing, const RowState& state, int rows,
                 const FinishedRows& to) noexcept;

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

// Up to 16 keys of an array of f32, f16 or bf16 into an f32 panel [dim][16]; lanes behind them are
// not touched. Steps count elements.
void widen_keys(const void* rows, DType dtype, int64_t key_step, int64_t dim_step, int64_t dim,
                int count, float* panel) noexcept;
// Value rows of such an array into f32 rows of `columns`; numbers up to columns become 0. Returns
// whether all are finite.
bool widen_values(const void* rows, DType dtype, int64_t key_step, int64_t dim_step, int64_t dim_v,
                  int64_t columns, int count, float* out) noexcept;

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
// The same of rows of f32, f16 or bf16.
void pack_rows(const void* const* rows, DType dtype, int64_t step, int count, int64_t dim,
               float scale, float* out) noexcept;

}  // namespace regard
