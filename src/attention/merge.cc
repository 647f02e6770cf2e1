// merge(): the kernels' own merge of states, on states that are finished: (out, lse) is the state
// m = lse, l = 1, o = out, or the empty one where lse is -inf.
#include <algorithm>
#include <limits>
#include <vector>

#include "attention/ranges.h"
#include "base/check.h"
#include "base/threads.h"
#include "plan/rules.h"
#include "regard/attention.h"
#include "tiles/fold.h"

namespace regard {
namespace {

constexpr int kRows = 16;  // of a state at a time

using Outs = View<const float, 3>;
using Lses = View<const float, 2>;

template <class A, class B, int Rank>
bool same_view(const View<A, Rank>& a, const View<B, Rank>& b) {
  return a.data == b.data && a.shape == b.shape && a.strides == b.strides;
}

void check_part(const char* name, const Outs& out, const Lses& lse, const View<float, 3>& into) {
  require(out.shape == into.shape, "merge: out_{} is {} x {} x {}, out is {} x {} x {}", name,
          out.shape[0], out.shape[1], out.shape[2], into.shape[0], into.shape[1], into.shape[2]);
  require(lse.shape[0] == into.shape[0] && lse.shape[1] == into.shape[1],
          "merge: lse_{} is {} x {}, must be {} x {}", name, lse.shape[0], lse.shape[1],
          into.shape[0], into.shape[1]);
}

// The states of rows [first, first + count), counted over tokens and heads.
void read_states(const Outs& out, const Lses& lse, int64_t first, int count,
                 const RowState& state) {
  const int64_t heads = out.shape[1], dim_v = out.shape[2];
  for (int r = 0; r < count; ++r) {
    const int64_t token = (first + r) / heads, head = (first + r) % heads;
    const bool empty = lse(token, head) == -std::numeric_limits<float>::infinity();
    state.m[r] = lse(token, head);
    state.l[r] = empty ? 0.0f : 1.0f;
    float* const o = state.o + r * state.columns;
    std::fill_n(o, state.columns, 0.0f);
    for (int64_t d = 0; d < dim_v && !empty; ++d) o[d] = out(token, head, d);
  }
}

}  // namespace

void merge(View<const float, 3> out_a, View<const float, 2> lse_a, View<const float, 3> out_b,
           View<const float, 2> lse_b, View<float, 3> out, View<float, 2> lse) {
  check_part("a", out_a, lse_a, out);
  check_part("b", out_b, lse_b, out);
  require(lse.data == nullptr || (lse.shape[0] == out.shape[0] && lse.shape[1] == out.shape[1]),
          "merge: lse is {} x {}, must be {} x {}", lse.shape[0], lse.shape[1], out.shape[0],
          out.shape[1]);
  const Range written = range_of(out);
  const Range lse_written = lse.data != nullptr ? range_of(lse) : Range{0, 0};
  const auto apart = [&](Range range) {
    return !overlap(written, range) && !overlap(lse_written, range);
  };
  require(
      (same_view(out, out_a) && !overlap(lse_written, range_of(out_a))) || apart(range_of(out_a)),
      "merge: an output overlaps out_a and is not out_a itself");
  require((same_view(lse, lse_a) && !overlap(written, range_of(lse_a))) || apart(range_of(lse_a)),
          "merge: an output overlaps lse_a and is not lse_a itself");
  require(apart(range_of(out_b)) && apart(range_of(lse_b)), "merge: an output overlaps part b");
  require(!overlap(written, lse_written), "merge: out and lse overlap");

  const DefaultFloatMode mode;
  const int64_t heads = out.shape[1], dim_v = out.shape[2], rows = out.shape[0] * heads;
  const int64_t columns = round_up(dim_v, 16);
  std::vector<float> memory(static_cast<std::size_t>(2 * kRows * (2 + columns)));
  const auto state_at = [&](float* at) {
    return RowState{at, at + kRows, at + 2 * kRows, columns};
  };
  const RowState a = state_at(memory.data());
  const RowState b = state_at(memory.data() + kRows * (2 + columns));
  for (int64_t first = 0; first < rows; first += kRows) {
    const int count = static_cast<int>(std::min<int64_t>(kRows, rows - first));
    read_states(out_a, lse_a, first, count, a);
    read_states(out_b, lse_b, first, count, b);
    merge_state(Weighing::softmax, b, count, false, a);
    void* out_rows[kRows];
    float* lse_rows[kRows];
    for (int r = 0; r < count; ++r) {
      const int64_t token = (first + r) / heads, head = (first + r) % heads;
      out_rows[r] = &out(token, head, 0);
      if (lse.data != nullptr) lse_rows[r] = &lse(token, head);
    }
    finish_rows(Weighing::softmax, a, count,
                {.out_of_row = out_rows,
                 .out_step = out.strides[2],
                 .dim_v = dim_v,
                 .lse_of_row = lse.data != nullptr ? lse_rows : nullptr});
  }
}

}  // namespace regard
