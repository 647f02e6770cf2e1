// run_tile_program, compiled once per target: each step is one tight loop over vectors of 16
// numbers, chosen by its operation and by which operands are broadcast. Rows go through all steps
// in blocks whose intermediate values stay in the first cache.
#include <cstring>

#include "interpreter/steps.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "interpreter/run.cc"
#include <hwy/foreach_target.h>

#include "interpreter/gather-inl.h"
#include "interpreter/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// ---- leaves ----

template <int32_t TilePlace::*kNumber>
HWY_ATTR void load_one(TileRun& run, const TileStep& step) {
  store(as_f32(broadcast_bits(run.place->*kNumber)), run.to(step.to));
}
HWY_ATTR void load_key(TileRun& run, const TileStep& step) {
  alignas(64) static constexpr int32_t kCount[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                     8, 9, 10, 11, 12, 13, 14, 15};
  I32x16 key = add(load(kCount), broadcast_bits(run.place->first_key));
  float* to = run.to(step.to);
  for (int p = 0; p < run.panels; ++p, key = add(key, broadcast_bits(16)), to += 16) {
    store(as_f32(key), to);
  }
}
// Rows up to a whole vector repeat the last one, so that they mean nothing new.
template <const int32_t* TilePlace::*kRows>
HWY_ATTR void load_rows(TileRun& run, const TileStep& step) {
  const int32_t* from = run.place->*kRows;
  const int rows = run.place->rows;
  alignas(64) int32_t padded[kFoldRows];
  for (int r = 0; r < run.extent[static_cast<int>(TileShape::row)].vectors * 16; ++r) {
    padded[r] = from[r < rows ? r : rows - 1];
  }
  std::memcpy(run.to(step.to), padded, static_cast<std::size_t>(rows + 15) / 16 * 64);
}

// ---- the kernel of every operation ----

using StepFunction = void (*)(TileRun&, const TileStep&);
struct Table {
  StepFunction at[kTileKernels][8];
};

template <class Op>
constexpr void set_unary(Table& table, int kernel) {
  for (int form = 0; form < 8; ++form) {
    table.at[kernel][form] = form & 1 ? &each<Op, true> : &each<Op, false>;
  }
}
template <template <class, bool, bool> class Loop, class Op>
constexpr void set_binary(Table& table, int kernel) {
  for (int form = 0; form < 8; ++form) {
    table.at[kernel][form] =
        form & 1 ? (form & 2 ? &Loop<Op, true, true>::run  //
                             : &Loop<Op, true, false>::run)
                 : (form & 2 ? &Loop<Op, false, true>::run : &Loop<Op, false, false>::run);
  }
}
constexpr void set_all(Table& table, TileOp op, StepFunction function) {
  for (StepFunction& at : table.at[static_cast<int>(op)]) at = function;
}

constexpr Table make_table() {
  Table table{};
  set_all(table, TileOp::load_batch, &load_one<&TilePlace::batch>);
  set_all(table, TileOp::load_sequence, &load_one<&TilePlace::sequence>);
  set_all(table, TileOp::load_head, &load_rows<&TilePlace::head>);
  set_all(table, TileOp::load_query, &load_rows<&TilePlace::query>);
  set_all(table, TileOp::load_key, &load_key);
  set_all(table, TileOp::load_row, &load_rows<&TilePlace::row>);
#define REGARD_UNARY(op) set_unary<Op_##op>(table, static_cast<int>(TileOp::op));
#define REGARD_BINARY(op) set_binary<Pairs, Op_##op>(table, static_cast<int>(TileOp::op));
#define REGARD_COMPARE(op) \
  REGARD_BINARY(op)        \
  set_binary<MaskPairs, Op_##op>(table, mask_compare(TileOp::op));
  REGARD_TILE_UNARY(REGARD_UNARY)
  REGARD_TILE_BINARY(REGARD_BINARY)
  REGARD_TILE_COMPARE(REGARD_COMPARE)
#undef REGARD_UNARY
#undef REGARD_BINARY
#undef REGARD_COMPARE
  const auto set_kernel = [&](int kernel, StepFunction function) {
    for (StepFunction& at : table.at[kernel]) at = function;
  };
  set_kernel(kAddDistance, &add_distance<false, false>);
  set_kernel(kAddDistance + 1, &add_distance<false, true>);
  set_kernel(kAddDistance + 2, &add_distance<true, false>);
  set_kernel(kAddDistance + 3, &add_distance<true, true>);
  set_unary<Op_copy>(table, kCopy);
  set_unary<Op_truth_to_real>(table, kTruthToReal);
  for (int form = 0; form < 8; ++form) {
    table.at[kMaskAnd][form] = form & 1 ? &mask_and<true> : &mask_and<false>;
  }
  StepFunction* select = table.at[static_cast<int>(TileOp::select)];
  select[0] = &choose<false, false, false>;
  select[1] = &choose<true, false, false>;
  select[2] = &choose<false, true, false>;
  select[3] = &choose<true, true, false>;
  select[4] = &choose<false, false, true>;
  select[5] = &choose<true, false, true>;
  select[6] = &choose<false, true, true>;
  select[7] = &choose<true, true, true>;
  set_all(table, TileOp::gather_f32, &gather_step<GatherReal>);
  set_all(table, TileOp::gather_i32, &gather_step<GatherInteger>);
  set_all(table, TileOp::gather_bool, &gather_step<GatherTruth>);
  return table;
}
constexpr Table kTable = make_table();

// ---- masks and spoiled lanes ----

// The keys that a tile has, of 16.
uint16_t allowed_panel(const TilePlace& place, int panel) {
  const int left = place.keys - 16 * panel;
  return left >= 16 ? 0xffff : left <= 0 ? 0 : static_cast<uint16_t>((1u << left) - 1);
}

void allow_all(const TilePlace& place, uint16_t* masks) {
  uint16_t allowed[kTilePanels];
  for (int p = 0; p < kTilePanels; ++p) allowed[p] = allowed_panel(place, p);
  for (int r = 0; r < place.rows; ++r)
    std::memcpy(masks + r * kTilePanels, allowed, sizeof allowed);
}

// A spoiled mask allows its key, so that the NaN shows. A spoiled score alone leaves the mask as it
// is: masked means absent.
HWY_ATTR void show_poison(const TileRun& run, float* scores, uint16_t* masks) {
  for (int plane = 0; plane < 2; ++plane) {
    const uint16_t* const poison = run.poison[plane];
    if (poison == nullptr) continue;
    for (int r = 0; r < run.place->rows; ++r) {
      for (int p = 0; p < run.panels; ++p) {
        const uint32_t bits = poison[r * kTilePanels + p];
        if (bits == 0) continue;
        float* const at = scores + r * kTileKeys + 16 * p;
        store(select(mask_of_bits(bits), broadcast(kNotANumber), load(at)), at);
        if (plane == 1) {
          uint16_t& panel = masks[r * kTilePanels + p];
          panel = static_cast<uint16_t>(panel | (bits & allowed_panel(*run.place, p)));
        }
      }
    }
  }
}

}  // namespace

HWY_ATTR void run_tile_program(const TileProgram& program, const TilePlace& place, float* scores,
                               uint16_t* masks, void* scratch, void* const* outputs) {
  const PreparedTileProgram& prepared = program.prepared;
  const auto misaligned = reinterpret_cast<std::uintptr_t>(scratch) % 64;
  float* const tile = reinterpret_cast<float*>(static_cast<std::byte*>(scratch) +
                                               (misaligned != 0 ? 64 - misaligned : 0));
  allow_all(place, masks);
  TileRun run;
  run.place = &place;
  run.arrays = program.arrays.data();
  run.panels = (place.keys + 15) / 16;
  run.constants = prepared.constants.data();
  run.tile = tile;
  run.outputs = outputs;
  run.extent[static_cast<int>(TileShape::one)] = {1, 1};
  run.extent[static_cast<int>(TileShape::row)] = {1, (place.rows + 15) / 16};
  run.extent[static_cast<int>(TileShape::key)] = {1, run.panels};
  for (int plane = 0; plane < 2; ++plane) {
    if (prepared.poison[plane] < 0) continue;
    run.poison[plane] = reinterpret_cast<uint16_t*>(tile + prepared.poison[plane]);
    std::memset(run.poison[plane], 0,
                static_cast<std::size_t>(place.rows) * kTilePanels * sizeof(uint16_t));
  }
  const TileStep* const first = prepared.steps.data();
  const TileStep* const blocks = first + prepared.tile_steps;
  const TileStep* const end = first + prepared.steps.size();
  for (const TileStep* step = first; step < blocks; ++step) {
    kTable.at[step->kernel][step->form & 7](run, *step);
  }
  for (int row = 0; blocks < end && row < place.rows; row += prepared.block_rows) {
    const int rows =
        place.rows - row < prepared.block_rows ? place.rows - row : prepared.block_rows;
    run.first_row = row;
    run.scores = scores + row * kTileKeys;
    run.masks = masks + row * kTilePanels;
    run.extent[static_cast<int>(TileShape::full)] = {rows, run.panels};
    for (const TileStep* step = blocks; step < end; ++step) {
      kTable.at[step->kernel][step->form & 7](run, *step);
    }
  }
  if (run.poisoned) show_poison(run, scores, masks);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void run_tile_program(const TileProgram& program, const TilePlace& place, float* scores,
                      uint16_t* masks, void* scratch, void* const* outputs) noexcept {
  REGARD_DISPATCH(run_tile_program)(program, place, scores, masks, scratch, outputs);
}

}  // namespace regard
#endif
