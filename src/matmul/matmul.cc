// y = x Wᵀ over packed panels. A call is cut into shares of about equal bytes, one task each; a
// few rows expand weights in registers on the way into the multiply-add, many rows expand 256
// inputs of two panels into scratch and run the register tile over all rows. Both read weights
// through weights-inl.h and add in the same order, so they give the same bits.
#include "matmul/matmul.h"

#include <algorithm>

#include "base/check.h"
#include "matmul/pack.h"
#include "simd/highway.h"

#ifndef REGARD_MATMUL_SHARE_
#define REGARD_MATMUL_SHARE_
namespace regard {

// Panels first .. last - 1 of one packed matrix, and the rows of x and y they are for.
struct PanelShare {
  const std::byte* data;
  DType dtype;
  int64_t outputs;
  int64_t inputs;
  int64_t first;
  int64_t last;
  const float* bias;  // [outputs] or null
  const float* x;     // [rows, inputs], x_step numbers from row to row
  int64_t x_step;
  float* y;  // [rows, outputs], y_step numbers from row to row
  int64_t y_step;
  int64_t rows;
};

}  // namespace regard
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "matmul/matmul.cc"
#include <hwy/foreach_target.h>

#include "matmul/rows-inl.h"
#include "matmul/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// ---- sinks of visit() ----

// acc += x w for kRows rows.
template <int kRows, int kColumns>
struct Multiply {
  const float* x;
  int64_t x_step;
  Accumulators<kRows, kColumns> acc;

  template <int kInput, int kColumn>
  HWY_INLINE HWY_ATTR void take(const F32x16& w) {
    take_rows<kInput, kColumn>(w, std::make_integer_sequence<int, kRows>());
  }
  template <int kInput, int kColumn, int... kRow>
  HWY_INLINE HWY_ATTR void take_rows(const F32x16& w, std::integer_sequence<int, kRow...>) {
    ((acc.at[kRow][kColumn] = fma(broadcast(x[kRow * x_step + kInput]), w, acc.at[kRow][kColumn])),
     ...);
  }
  HWY_INLINE HWY_ATTR void advance(int64_t count) { x += count; }
};

// Numbers to memory, [input][16].
struct Expand {
  float* out;

  template <int kInput, int>
  HWY_INLINE HWY_ATTR void take(const F32x16& w) {
    store(w, out + kInput * kPanel);
  }
  HWY_INLINE HWY_ATTR void advance(int64_t count) { out += count * kPanel; }
};

// ---- many rows: weights are expanded into scratch, then the tile runs over all rows ----

// Inputs k .. last - 1 of one panel into weights [kInputBlock][16].
template <DType kType>
HWY_NOINLINE void expand(const PanelPlace& at, int64_t k, int64_t last, float* weights) {
  Expand sink{weights};
  visit<kType, 1>(at, k, last, sink);
}

constexpr int64_t kPanelsTogether = 16;  // their part of y stays in the second cache

template <DType kType>
void many_rows(const PanelShare& share) {
  alignas(64) float weights[kPair * kInputBlock * kPanel];
  for (int64_t together = share.first; together < share.last; together += kPanelsTogether) {
    const int64_t last_panel = std::min(together + kPanelsTogether, share.last);
    for (int64_t k = 0; k < share.inputs; k += kInputBlock) {
      const int64_t last = std::min(k + kInputBlock, share.inputs);
      const PlainRows rows{share.x + k, share.x_step, share.rows};
      for (int64_t panel = together; panel < last_panel;) {
        const int64_t feature = panel * kPanel;
        const Finish to{share.y + feature, share.y_step, share.outputs - feature, k == 0};
        const int64_t columns = kPair == 2 && last_panel - panel >= 2 ? 2 : 1;
        for (int64_t j = 0; j < columns; ++j) {
          expand<kType>(place(share.data, share.dtype, share.outputs, share.inputs, panel + j), k,
                        last, weights + j * kInputBlock * kPanel);
        }
        if (columns == kPair) {
          run_tiles<kPair>(rows, last - k, RightPanels{weights}, to);
        } else {
          run_tiles<1>(rows, last - k, RightPanels{weights}, to);
        }
        if (last == share.inputs && share.bias != nullptr) {
          add_bias(share.bias + feature, std::min(columns * kPanel, share.outputs - feature),
                   share.y + feature, share.y_step, share.rows);
        }
        panel += columns;
      }
    }
  }
}

// ---- a few rows: weights are expanded in registers ----

// Panels side by side for one row, and for more; the most rows that come here. AVX-512 has
// registers for 8 accumulators beside the scales of their panels; AVX2 gains for one row only, and
// the one-lane target never. Panels left over go the way of many rows: the bits are the same.
constexpr int kOneRowColumns = kParts == 1 ? 4 : 2;
constexpr int kFewRowColumns = 2;
constexpr int kFewRows = kParts == 1 ? 4 : kParts == 2 ? 1 : 0;

template <DType kType, int kRows, int kColumns>
HWY_NOINLINE void multiply_few(const PanelShare& share, int64_t panel) {
  const PanelPlace at = place(share.data, share.dtype, share.outputs, share.inputs, panel);
  const int64_t feature = panel * kPanel;
  Finish to{share.y + feature, share.y_step, share.outputs - feature, true};
  for (int64_t k = 0; k < share.inputs; k += kInputBlock) {
    const int64_t last = std::min(k + kInputBlock, share.inputs);
    Multiply<kRows, kColumns> sink{share.x + k, share.x_step, {}};
    clear(sink.acc);
    visit<kType, kColumns>(at, k, last, sink);
    finish(sink.acc, to);
    to.is_first = false;
  }
  if (share.bias != nullptr) {
    add_bias(share.bias + feature, std::min<int64_t>(kColumns * kPanel, share.outputs - feature),
             share.y + feature, share.y_step, share.rows);
  }
}

template <DType kType, int kRows, int kColumns>
void few_rows(const PanelShare& share) {
  int64_t panel = share.first;
  while (panel < share.last) {
    const int64_t left = std::min(share.last - panel, kGroupPanels - panel % kGroupPanels);
    if (kColumns > 2 && left >= kColumns) {
      multiply_few<kType, kRows, kColumns>(share, panel);
      panel += kColumns;
    } else if (left >= 2) {
      multiply_few<kType, kRows, 2>(share, panel);
      panel += 2;
    } else {
      PanelShare rest = share;
      rest.first = panel;
      rest.last = ++panel;
      many_rows<kType>(rest);
    }
  }
}

// ---- entries ----

template <DType kType>
void multiply_as(const PanelShare& share) {
  if constexpr (kFewRows >= 1) {
    if (share.rows == 1) return few_rows<kType, 1, kOneRowColumns>(share);
  }
  if constexpr (kFewRows >= 2) {
    if (share.rows == 2) return few_rows<kType, 2, kFewRowColumns>(share);
  }
  if constexpr (kFewRows >= 3) {
    if (share.rows == 3) return few_rows<kType, 3, kFewRowColumns>(share);
  }
  if constexpr (kFewRows >= 4) {
    if (share.rows == 4) return few_rows<kType, 4, kFewRowColumns>(share);
  }
  many_rows<kType>(share);
}

template <DType kType>
void row_as(const PanelPlace& at, int lane, int64_t inputs, float* out) {
  alignas(64) float weights[kInputBlock * kPanel];
  for (int64_t k = 0; k < inputs; k += kInputBlock) {
    const int64_t last = std::min(k + kInputBlock, inputs);
    expand<kType>(at, k, last, weights);
    for (int64_t i = k; i < last; ++i) out[i] = weights[(i - k) * kPanel + lane];
  }
}

#define REGARD_EACH_FORMAT(call) \
  switch (dtype) {               \
    case DType::f16:             \
      return call(DType::f16);   \
    case DType::bf16:            \
      return call(DType::bf16);  \
    case DType::q8_0:            \
      return call(DType::q8_0);  \
    case DType::q4_0:            \
      return call(DType::q4_0);  \
    case DType::q4_1:            \
      return call(DType::q4_1);  \
    case DType::q5_0:            \
      return call(DType::q5_0);  \
    case DType::q5_1:            \
      return call(DType::q5_1);  \
    case DType::q4_k:            \
      return call(DType::q4_k);  \
    case DType::q5_k:            \
      return call(DType::q5_k);  \
    case DType::q6_k:            \
      return call(DType::q6_k);  \
    default:                     \
      return call(DType::f32);   \
  }

void multiply_panels(const PanelShare& share) {
  const DType dtype = share.dtype;
#define REGARD_CALL(type) multiply_as<type>(share)
  REGARD_EACH_FORMAT(REGARD_CALL)
#undef REGARD_CALL
}

void unpack_row(const PanelPlace& at, DType dtype, int lane, int64_t inputs, float* out) {
#define REGARD_CALL(type) row_as<type>(at, lane, inputs, out)
  REGARD_EACH_FORMAT(REGARD_CALL)
#undef REGARD_CALL
}
#undef REGARD_EACH_FORMAT

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {
namespace {

constexpr int64_t kRowsTogether = 512;  // rows that share one expansion of the weights

constexpr int64_t kFewestRows = 24;         // that a share of rows is worth cutting for
constexpr int64_t kLargeShare = 4 << 20;    // bytes of weights times rows: about 0.3 ms
constexpr int64_t kSmallShare = 256 << 10;  // bytes of weights: about 10 us of reading

// Where byte number `at` of the targets' panels laid end to end falls in a target, in whole units
// of panels.
int64_t cut(int64_t at, int64_t bytes_of_panel, int64_t panels, int64_t unit) {
  const int64_t panel = (2 * at / bytes_of_panel + unit) / (2 * unit) * unit;  // nearest
  return std::clamp<int64_t>(panel, 0, panels);
}

// Three to eight shares for each thread: of those numbers the one that fits the units best, so that
// no thread is left with a share more than the others (18 units: 6 shares of 3, not 8).
int64_t even_shares(int64_t units, int64_t threads) {
  int64_t best = 4 * threads, least = INT64_MAX;
  for (const int64_t each : {4, 5, 3, 6, 7, 8}) {
    const int64_t shares = each * threads;
    const int64_t unused = (units + shares - 1) / shares * shares - units;
    if (unused < least) best = shares, least = unused;
  }
  return best;
}

}  // namespace

void PackedMatrix::row(int64_t output, float* out) const noexcept {
  const DefaultFloatMode mode;
  const PanelPlace at = place(data(), dtype_, outputs_, inputs_, output / kPanel);
  REGARD_DISPATCH(unpack_row)(at, dtype_, static_cast<int>(output % kPanel), inputs_, out);
}

void matmul(View<const float, 2> x, std::span<const MatmulTarget> targets, ThreadPool& pool) {
  const int64_t rows = x.shape[0];
  const int64_t inputs = x.shape[1];
  require(x.strides[1] == 1 || inputs == 1, "matmul: x has stride {}, not 1, in its last axis",
          x.strides[1]);
  int64_t bytes = 0;
  int64_t panels = 0;
  for (const MatmulTarget& target : targets) {
    require(target.weight != nullptr && target.weight->outputs() > 0, "matmul: a weight is empty");
    const PackedMatrix& weight = *target.weight;
    require(weight.inputs() == inputs, "matmul: x has {} columns, the weight {} inputs", inputs,
            weight.inputs());
    require(target.y.shape[0] == rows && target.y.shape[1] == weight.outputs(),
            "matmul: y is [{}, {}], not [{}, {}]", target.y.shape[0], target.y.shape[1], rows,
            weight.outputs());
    require(target.y.strides[1] == 1 || weight.outputs() == 1,
            "matmul: y has stride {}, not 1, in its last axis", target.y.strides[1]);
    const int64_t count = panel_count(weight.outputs());
    panels += count;
    bytes += count * panel_bytes(weight.dtype(), inputs);
  }
  if (rows == 0 || panels == 0) return;
  const int64_t threads = pool.threads();

  // Threads take share after share, so that one that is held up is helped. One row: shares of
  // microseconds. More rows: one for each thread, of large calls several; many rows of few features
  // are cut along the rows too, and then every share expands its weights anew.
  const bool is_large = bytes * std::min(rows, kRowsTogether) > threads * kLargeShare;
  // A row alone walks whole groups of panels, which is one stream, where there are enough of them.
  const int64_t unit = rows > 1 ? 2 : panels < 4 * threads ? 1 : kGroupPanels;
  const int64_t units = (panels + unit - 1) / unit;
  const int64_t wanted = rows == 1  ? std::clamp(bytes / kSmallShare, threads, 32 * threads)
                         : is_large ? even_shares(units, threads)
                                    : threads;
  const int64_t shares = std::min(wanted, units);
  const int64_t row_shares =
      std::max((rows + kRowsTogether - 1) / kRowsTogether,
               std::min((threads + shares - 1) / shares, rows / kFewestRows));
  const auto kernel = REGARD_DISPATCH(multiply_panels);
  pool.parallel_for(shares * row_shares, [&](int64_t task, int) {
    const int64_t share = task % shares;
    const int64_t first_row = rows * (task / shares) / row_shares;
    const int64_t last_row = rows * (task / shares + 1) / row_shares;
    int64_t before = 0;
    for (const MatmulTarget& target : targets) {
      const PackedMatrix& weight = *target.weight;
      const int64_t count = panel_count(weight.outputs());
      const int64_t one = panel_bytes(weight.dtype(), inputs);
      const int64_t first = cut(bytes * share / shares - before, one, count, unit);
      const int64_t last = share + 1 == shares
                               ? count
                               : cut(bytes * (share + 1) / shares - before, one, count, unit);
      before += count * one;
      if (first >= last) continue;
      kernel({weight.data(), weight.dtype(), weight.outputs(), inputs, first, last, target.bias,
              x.data + first_row * x.strides[0], x.strides[0],
              target.y.data + first_row * target.y.strides[0], target.y.strides[0],
              last_row - first_row});
    }
  });
}

}  // namespace regard
#endif  // HWY_ONCE
