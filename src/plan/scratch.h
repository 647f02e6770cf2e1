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

  // Two passes: the scores of 48 rows, their masks and statistics, and which tiles they saw.
  float* kept;             // [48][keys rounded up to 128]
  uint16_t* kept_allowed;  // [tiles][48][8]
  TileVisit* visits;       // [tiles]
  float *m, *l, *lse;      // [48]
  int64_t kept_keys;
};

// The scratch that begins at base, 64-byte aligned.
Scratch scratch_at(const Setting& setting, const Cut& cut, void* base);
int64_t scratch_bytes(const Setting& setting, const Cut& cut);

}  // namespace regard
