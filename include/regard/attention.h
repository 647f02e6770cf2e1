// The attention operator: out = normalise(score(scale · q kᵀ) where mask) v, for each head.
// No score is ever stored. Attention Is All You Need (Vaswani et al. 2017), eq. 1; the online
// softmax is Milakov and Gimelshein 2018, its tiling FlashAttention (Dao et al. 2022).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "regard/view.h"

namespace regard {

// Which keys a query row may use. The programmable masks of the operator compose with these.
class Mask {
 public:
  enum class Kind { full, causal };
  // Where the diagonal of a causal mask ends when there are more keys than rows.
  enum class Align { bottom_right, top_left };

  Mask() = default;
  Kind kind() const noexcept { return kind_; }
  Align align() const noexcept { return align_; }

  friend Mask full();
  friend Mask causal(Align align);

 private:
  Kind kind_ = Kind::full;
  Align align_ = Align::bottom_right;
};

inline Mask full() { return {}; }

// bottom_right: row i of `rows` sees keys 0 .. keys - rows + i. top_left: keys 0 .. i.
inline Mask causal(Mask::Align align = Mask::Align::bottom_right) {
  Mask mask;
  mask.kind_ = Mask::Kind::causal;
  mask.align_ = align;
  return mask;
}

struct AttentionOptions {
  Mask mask = {};                   // default: every key is allowed
  std::optional<float> scale = {};  // default 1/sqrt(dim); zero and negative are legal
  int threads = 0;                  // 0 = all cores; never changes a bit
};

// One sequence: q [tokens, heads, dim], k [keys, kv_heads, dim], v [keys, kv_heads, dim_v],
// out [tokens, heads, dim_v], and if lse.data is set lse [tokens, heads], the natural logarithm of
// each row's softmax denominator. Query head h reads key/value head h / (heads / kv_heads).
// Any strides; any size may be 0. A row that may use no key gives zeros and lse -inf.
// Throws Error unless the shapes agree, kv_heads divides heads, dim and dim_v are at most 1024
// and out overlaps no input.
void attention(View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
               View<float, 3> out, const AttentionOptions& options = {}, View<float, 2> lse = {});

// In words, what attention() does with such arrays: target, tiles, how the work is cut and why.
// Reads no array, so data may be null. Throws Error where attention() would.
std::string explain(View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
                    const AttentionOptions& options = {});

// Gradients of a loss with respect to q, k and v, given dout = dloss/dout [tokens, heads, dim_v]
// and what attention() returned with the same options: out and lse. dq, dk and dv have the shapes
// of q, k and v and are overwritten; each number receives its terms in one fixed order, so that
// threads change no bit. FlashAttention-2 (Dao 2023), algorithm 2: nothing of size tokens x keys is
// kept. A row that may use no key passes no gradient. Throws Error unless the shapes agree, dim and
// dim_v are in 1 .. 1024 and no gradient overlaps an input or another gradient.
void attention_backward(View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
                        View<const float, 3> out, View<const float, 2> lse,
                        View<const float, 3> dout, View<float, 3> dq, View<float, 3> dk,
                        View<float, 3> dv, const AttentionOptions& options = {});

}  // namespace regard
