// The attention operator: out = Σ_j weight(normalise(score(scale · u(q, k)) where mask)) v, for
// each head. No score is ever stored. Attention Is All You Need (Vaswani et al. 2017), eq. 1; the
// online softmax is Milakov and Gimelshein 2018, its tiling FlashAttention (Dao et al. 2022).
//
//   q     [tokens, heads, dim]        k  [keys, kv_heads, dim]
//   out   [tokens, heads, dim_v]      v  [keys, kv_heads, dim_v]
//
// Query head h reads key/value head h / (heads / kv_heads). Numbers are f64, f32, f16 or bf16, each
// array on its own (but f64 for all or none), with any strides; arithmetic is f32, or f64 for f64,
// and out is rounded once. Any size may be 0; dim and dim_v are at most 1024. q, k and v may share
// memory, an output overlaps nothing else. A row that may use no key gives zeros and lse -inf.
// Results do not depend on threads, batch, neighbours or instruction set: docs/bits.md.
//
// Every function throws Error, naming argument, rule and numbers, before anything is written.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "regard/any_view.h"
#include "regard/attention_options.h"
#include "regard/view.h"

namespace regard {

// One sequence.
// lse [tokens, heads], if its data is set: the natural logarithm of each row's softmax denominator,
// without a sink; softmax only.
void attention(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
               const AttentionOptions& options = {}, View<float, 2> lse = {});

// One sequence of a batch.
struct Segment {
  int64_t first_row = 0;  // in q and out
  int64_t rows = 0;
  int64_t keys = 0;                           // of this sequence
  std::span<const int32_t> block_table = {};  // its pages, where keys lie in pages
  int64_t first_key = 0;                      // in k and v, where they are arrays
  std::optional<int64_t> position = {};       // i of the first row; default keys - rows
  std::optional<int64_t> sequence = {};       // keys random numbers; default the segment's index
  int64_t slab = 0;                           // which [tokens, heads, dim] of a batched array
};

// What may be asked for besides out; each is filled where its data is set. Where an axis counts
// keys it is as long as the longest segment, and numbers behind a segment's own keys are zeros
// (-inf for scores). [batch, tokens] are those of q.
struct AttentionExtras {
  View<float, 3> lse = {};      // [batch, tokens, heads]; softmax only
  View<float, 3> entropy = {};  // [batch, tokens, heads], nats, of the normalised weights
  // Σ over the rows of a segment of the normalised weights, [segments, heads, keys]: a by-product
  // of streaming, nothing of size tokens x keys is kept.
  View<float, 3> key_sums = {};
  // The largest weights of each row in descending order, the lower key first among equals; where a
  // row has fewer keys, weight 0 and key -1. [batch, tokens, heads, k]
  View<float, 4> top_weights = {};
  View<int32_t, 4> top_keys = {};
  // Whole matrices, because the caller asks for them: [batch, tokens, heads, keys].
  View<float, 4> similarities = {};  // scale · u(q, k)
  View<float, 4> scores = {};        // behind the score program; masked ones as they are
  View<float, 4> masked = {};        // -inf where masked
  View<float, 4> weights = {};       // behind normaliser and weight program
};

// A batch of sequences of one length: q [batch, tokens, heads, dim], and so on.
void attention(InputView<4> q, InputView<4> k, InputView<4> v, OutputView<4> out,
               const AttentionOptions& options = {}, const AttentionExtras& extras = {});
// A batch of sequences of any lengths, next to each other in one array of tokens and one of keys.
// Rows that lie in no segment are left as they are.
void attention(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
               std::span<const Segment> segments, const AttentionOptions& options = {},
               const AttentionExtras& extras = {});

// In words, what attention() does with such arrays: target, tiles, how the work is cut and why.
// Reads no array, so data may be null.
std::string explain(InputView<3> q, InputView<3> k, InputView<3> v,
                    const AttentionOptions& options = {});

// ---- gradients ----

// Where the gradient of a captured array goes: dense or strided, shaped like the array itself, and
// overwritten. The array is one of score, mask, weight, normaliser or similarity.
struct ArrayGradient {
  Array array;
  void* data = nullptr;               // f32
  std::vector<int64_t> strides = {};  // elements; default row-major
};

// Gradients of a loss with respect to q, k and v, given dout = dloss/dout and what attention()
// returned with the same options: out (kept in f32 for gradients as exact as f32's, whatever q is
// stored as) and, where the normaliser is softmax, lse (without data it is computed again). dq, dk
// and dv have the shapes of q, k and v and are overwritten; rows and keys that lie in no segment
// get zeros. Segments share neither rows nor keys, and their keys lie in arrays, not in pages. Sums
// are f32 whatever is stored, or f64 for f64. Each number receives its terms in one fixed order, so
// that threads change no bit. FlashAttention-2 (Dao 2023), algorithm 2: nothing of size tokens x
// keys is kept; besides a few numbers a row there is a tile's memory for each thread, and dq in f32
// where it is stored otherwise. A row that may use no key passes no gradient. arrays: the captured
// arrays whose gradients are wanted.
void attention_backward(InputView<3> q, InputView<3> k, InputView<3> v, InputView<3> out,
                        View<const float, 2> lse, InputView<3> dout, OutputView<3> dq,
                        OutputView<3> dk, OutputView<3> dv, const AttentionOptions& options = {},
                        std::span<const ArrayGradient> arrays = {});
void attention_backward(InputView<4> q, InputView<4> k, InputView<4> v, InputView<4> out,
                        View<const float, 3> lse, InputView<4> dout, OutputView<4> dq,
                        OutputView<4> dk, OutputView<4> dv, const AttentionOptions& options = {},
                        std::span<const ArrayGradient> arrays = {});
void attention_backward(InputView<3> q, InputView<3> k, InputView<3> v, InputView<3> out,
                        View<const float, 2> lse, InputView<3> dout, OutputView<3> dq,
                        OutputView<3> dk, OutputView<3> dv, std::span<const Segment> segments,
                        const AttentionOptions& options = {},
                        std::span<const ArrayGradient> arrays = {});

// ---- parts of attention put together ----

// Attention over the keys of a and of b, from attention over each: out_a, out_b, out [tokens,
// heads, dim_v]; lse [tokens, heads]. A part that saw no key (lse -inf) changes nothing. Shared
// prefixes (cascade), split keys and ring attention rest on it. out may be out_a, and lse lse_a.
// Source: Milakov and Gimelshein 2018, section 3.1.
void merge(View<const float, 3> out_a, View<const float, 2> lse_a, View<const float, 3> out_b,
           View<const float, 2> lse_b, View<float, 3> out, View<float, 2> lse);

}  // namespace regard
