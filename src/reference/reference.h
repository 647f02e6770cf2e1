// The reference: attention as the formula, in double precision and nothing else, for every option
// of the operator, and its gradients by the chain rule. Every kernel is tested against it, and
// arrays of f64 run it.
//
//   q [batch, tokens, heads, dim]   k [batch, keys, kv_heads, dim]   v [batch, keys, kv_heads,
//   dim_v]
//
// Each array is read in its own dtype, with any strides. Sequences are given as segments; the keys
// of a segment lie in an array, not in pages. What the options mean stands in
// regard/attention_options.h; the shapes of all arrays are to be checked before.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "regard/attention.h"

namespace regard {

// [tokens, heads, dim] as a batch of one.
InputView<4> as_batch(const InputView<3>& array);
OutputView<4> as_batch(const OutputView<3>& array);
// Each slab a sequence of its own, all of its rows and keys.
std::vector<Segment> one_segment_each(const InputView<4>& q, const InputView<4>& k);

// ---- all results as numbers to compare with ----

// The tokens x keys matrices are as long along keys as the longest segment.
enum class Matrices : uint8_t { leave_out, keep };

// Numbers of rows that lie in no segment are zeros, their lse -inf.
struct Reference {
  std::vector<double> out;       // [batch, tokens, heads, dim_v]
  std::vector<double> lse;       // [batch, tokens, heads]; softmax only, else empty
  std::vector<double> entropy;   // [batch, tokens, heads]
  std::vector<double> key_sums;  // [segments, heads, keys]
  // As in AttentionExtras, if kept: [batch, tokens, heads, keys]
  std::vector<double> similarities, scores, masked, weights;
  // What the normaliser takes, Gumbel noise and temperature in it (-inf where masked), and what it
  // gives to the weight program.
  std::vector<double> normaliser_scores, normalised;
};
Reference reference_attention(const InputView<4>& q, const InputView<4>& k, const InputView<4>& v,
                              std::span<const Segment> segments,
                              const AttentionOptions& options = {},
                              Matrices matrices = Matrices::leave_out);
// One sequence.
Reference reference_attention(const InputView<3>& q, const InputView<3>& k, const InputView<3>& v,
                              const AttentionOptions& options = {},
                              Matrices matrices = Matrices::leave_out);

struct ReferenceGradients {
  std::vector<double> dq, dk, dv;  // dense, shaped like q, k and v
  // Of every differentiable array of the score and weight programs, the normaliser and the
  // similarity: dense, shaped like the array.
  std::vector<std::pair<Array, std::vector<double>>> arrays;

  // Zeros if the result depends on array nowhere.
  std::vector<double> of(const Array& array) const;
};
// dout = dloss/dout, [batch, tokens, heads, dim_v].
ReferenceGradients reference_gradients(const InputView<4>& q, const InputView<4>& k,
                                       const InputView<4>& v, const InputView<4>& dout,
                                       std::span<const Segment> segments,
                                       const AttentionOptions& options = {});
ReferenceGradients reference_gradients(const InputView<3>& q, const InputView<3>& k,
                                       const InputView<3>& v, const InputView<3>& dout,
                                       const AttentionOptions& options = {});

// ---- the same written into views: what attention() does for f64 ----

// Rows that lie in no segment are left as they are.
void write_reference(const InputView<4>& q, const InputView<4>& k, const InputView<4>& v,
                     const OutputView<4>& out, std::span<const Segment> segments,
                     const AttentionOptions& options, const AttentionExtras& extras);
// dq, dk and dv are overwritten as a whole.
void write_reference_gradients(const InputView<4>& q, const InputView<4>& k, const InputView<4>& v,
                               const InputView<4>& dout, const OutputView<4>& dq,
                               const OutputView<4>& dk, const OutputView<4>& dv,
                               std::span<const Segment> segments, const AttentionOptions& options,
                               std::span<const ArrayGradient> arrays);

}  // namespace regard
