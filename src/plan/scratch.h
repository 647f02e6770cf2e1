// Scratch: what one thread computes in.
#pragma once

#include <cstdint>

#include "plan/cut.h"
#include "plan/key_source.h"
#include "plan/setting.h"
#include "plan/sight.h"

namespace regard {

// Rows are those of a task, of a fold where the name says so.
struct Scratch {
  float* q;            // pack_queries, [rows][product_dim]
  float* fold_scores;  // 48 * 128 + 512
  FoldState chunk;
  RowState running;
  TileScratch tile, staged;
  float* mapped_panels;       // keys mapped for the similarity
  float* fold_q;              // rows of q widened to f32, [48][dim padded]
  float* mapped_q;            // [48][mapped_step]
  const float** fold_rows;    // [48]
  const float** mapped_rows;  // [48]
  const float** parameters;   // the similarity's, of each row
  const void** q_rows;        // [rows]
  void** out_rows;
  float** lse_rows;
  float* sinks;
  KeySpan* seen;                      // [48]
  int32_t *heads, *queries, *tokens;  // [rows], where programs run
  Interval* bounds;
  void* program;
  uint16_t *allowed, *ignored;  // [48][8]

  // Two passes: the scores of the rows, their masks and statistics, and which tiles they saw.
  float* kept;             // [rows][kept_keys]
  uint16_t* kept_allowed;  // [tiles][folds][48][8]
  TileVisit* visits;       // [tiles]
  int32_t* first_keys;     // [tiles]
  float *m, *l;            // [rows]
  int64_t kept_keys;       // of a segment, rounded up to 128

  // By-products of 48 rows.
  float* shown;        // [48][128]
  float* entropy;      // [48]
  float* top_weights;  // [48][top]
  int32_t* top_keys;
  float* key_sums;  // two of [group][128]
};

// The scratch that begins at base, 64-byte aligned.
Scratch scratch_at(const Setting& setting, const Cut& cut, void* base);
int64_t scratch_bytes(const Setting& setting, const Cut& cut);

}  // namespace regard
