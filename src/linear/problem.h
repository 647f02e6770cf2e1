// What linear_attention() and its backward pass agree on: the sizes, the sequences, where rows lie,
// and every rule that input must keep.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "linear/recurrence.h"
#include "linear/stage.h"
#include "regard/linear_attention.h"

namespace regard {

inline constexpr int64_t kSumKeys = 512;  // without causal: keys between two restarts of the sum

inline int64_t whole_vectors(int64_t x) { return (x + 15) / 16 * 16; }

// A view, by name, as memory.
struct NamedMemory {
  std::string_view name;
  uintptr_t first = 0, last = 0;  // bytes [first, last)
  bool may_be = false;            // an output that may be the very memory of an input of its shape
  const void* data = nullptr;
};
template <int Rank>
NamedMemory memory_of(std::string_view name, const InputView<Rank>& view) {
  if (view.data == nullptr || view.size() == 0) return {name};
  int64_t low = 0, high = 1;
  for (int axis = 0; axis < Rank; ++axis) {
    const int64_t reach = (view.shape[axis] - 1) * view.strides[axis];
    (reach < 0 ? low : high) += reach;
  }
  const int64_t size = info(view.dtype).block_bytes;
  const auto base = reinterpret_cast<uintptr_t>(view.data);
  return {name, base + static_cast<uintptr_t>(low * size),
          base + static_cast<uintptr_t>(high * size), false, view.data};
}
// Throws where an output overlaps an input or another output.
void require_apart(std::string_view call, const std::vector<NamedMemory>& inputs,
                   const std::vector<NamedMemory>& outputs);

// Up to kStepTokens tokens of one key/value head, made ready for the recurrence: one thread's
// memory, the arrays of Steps.
struct StagedTokens {
  float *k, *a, *v, *beta, *q;
};

struct LinearProblem {
  struct Sequence {
    int64_t slab;             // which of the batch
    int64_t first, rows;      // tokens of q
    int64_t first_key, keys;  // tokens of k and v
  };

  LinearAttentionInputs in;
  LinearAttentionOptions options;
  std::vector<Sequence> sequences;
  int64_t batch = 0, tokens = 0, all_keys = 0, heads = 0, kv_heads = 0, group = 1;
  int64_t dim = 0, dim_v = 0, dim_step = 0;
  int64_t blocks = 0;  // of value columns
  float scale = 1;
  bool decays = false, delta = false;

  int64_t columns_of(int64_t block) const {  // in numbers
    const int64_t left = dim_v - block * kStateColumns;
    return left < kStateColumns ? left : kStateColumns;
  }
  int64_t longest() const {  // most tokens of q or k in a sequence
    int64_t most = 0;
    for (const Sequence& s : sequences) {
      most = s.rows > most ? s.rows : most;
      most = s.keys > most ? s.keys : most;
    }
    return most;
  }

  // Staged tokens [first, first + count) of a sequence; the arrays are those of Steps.
  void stage_k(const Sequence& s, int64_t head, int64_t first, int count, float* k) const;
  void stage_q(const Sequence& s, int64_t kv_head, int64_t first, int count, float* q) const;
  void stage_v(const Sequence& s, int64_t head, int64_t block, int64_t first, int count,
               float* v) const;
  void stage_decay(const Sequence& s, int64_t head, int64_t first, int count, float* a) const;
  void stage_beta(const Sequence& s, int64_t head, int64_t first, int count, float* beta) const;
  // What of k, decay and beta the rule reads.
  void stage_keys(const Sequence& s, int64_t head, int64_t first, int count,
                  const StagedTokens& to) const;
  // The recurrence over staged tokens for a block of columns; how many tokens is left to say.
  Steps steps_of(const StagedTokens& staged, int64_t block) const;
  // A block of a state, zeros where there is none: [dim][64].
  void stage_state(const InputView<4>& state, std::size_t sequence, int64_t head, int64_t block,
                   float* out) const;
  void stage_key_sum(const InputView<3>& sum, std::size_t sequence, int64_t head, float* out) const;
  // Without causal: adds all keys of the sequence to state and z; the chains restart every
  // kSumKeys, in part and z_part.
  void add_keys(const Sequence& s, int64_t head, int64_t block, const StagedTokens& staged,
                float* part, float* z_part, float* state, float* z) const;
};

// Rows from (slab, row, head) on, [.., dim] of an array [batch, rows, heads, dim]; and the same
// without dim, as one row that runs along the tokens.
RowsIn rows_at(const InputView<4>& x, int64_t slab, int64_t row, int64_t head, int64_t column = 0);
RowsOut rows_at(const OutputView<4>& x, int64_t slab, int64_t row, int64_t head,
                int64_t column = 0);
RowsIn line_at(const InputView<3>& x, int64_t slab, int64_t row, int64_t head);
// One token's row [heads] of an array [batch, rows, heads].
RowsOut line_at(const OutputView<3>& x, int64_t slab, int64_t row);
// The matrix [dim][dim_v] of a state, from a column on; the vector [dim] of a key sum.
RowsOut matrix_at(const OutputView<4>& x, std::size_t sequence, int64_t head, int64_t column);
RowsOut vector_at(const OutputView<3>& x, std::size_t sequence, int64_t head);

// Checks every rule that needs no output. call: the name in messages.
LinearProblem make_linear_problem(std::string_view call, const LinearAttentionInputs& in,
                                  const LinearAttentionOptions& options);
std::vector<NamedMemory> memory_of_inputs(const LinearAttentionInputs& in);
// Throws unless a given array has the shape and a dtype of f32, f16 or bf16.
template <int Rank>
void require_array(std::string_view call, std::string_view name, const InputView<Rank>& x,
                   const std::array<int64_t, Rank>& shape);

}  // namespace regard
