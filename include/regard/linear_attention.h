// Linear attention: instead of all keys and values a head keeps a state S [dim, dim_v] of fixed
// size. Each token writes to it, then the token's queries read it: time linear in tokens, memory
// constant.
//
//   S ← exp(g) S                   gated rules: g is the log of a decay, of a head or of a row of S
//   u = v, or β (v - Sᵀ φ(k))      delta rules: what the state does not know yet of v
//   S ← S + φ(k) uᵀ
//   out = scale · Sᵀ φ(q)          or, normalised, Sᵀ φ(q) / (φ(q) · Σ φ(k)), 0 where that is 0
//
//   q     [batch, tokens, heads, dim]         decay [batch, tokens, kv_heads, dim or 1], g
//   k     [batch, tokens, kv_heads, dim]      beta  [batch, tokens, kv_heads or 1], β
//   v     [batch, tokens, kv_heads, dim_v]    state [sequences, kv_heads, dim, dim_v], S
//   out   [batch, tokens, heads, dim_v]       key_sum [sequences, kv_heads, dim], Σ φ(k)
//
// The key sum decays as S does. Query head h reads the state of head h / (heads / kv_heads).
// Numbers are f32, f16 or bf16, each array on its own, with any strides; arithmetic and the state
// between two tokens are f32, and what is written is rounded once. Any size may be 0; dim and dim_v
// are at most 1024.
//
// Each state number and each output follows the recurrence's own arithmetic, token after token
// (docs/bits.md): a prompt at once, in chunks, or as single tokens gives the same bits, so long as
// the state is handed on in f32. Threads, batch, heads and instruction set change nothing either.
//
// Sources: the rules are ONNX LinearAttention's (opset 27), which names Gated Linear Attention
// (Yang et al. 2023), RetNet (Sun et al. 2023), DeltaNet (Yang et al. 2024) and Gated DeltaNet
// (Yang et al. 2024); feature maps and the normalised form are Katharopoulos et al. 2020, eq. 4
// to 7.
//
// Every function throws Error, naming argument, rule and numbers, before anything is written.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "regard/any_view.h"

namespace regard {

enum class UpdateRule : uint8_t { linear, gated, delta, gated_delta };

// φ, applied to each number of q and k. elu: elu(x) + 1, which is x + 1 above 0 and e^x below.
enum class FeatureMap : uint8_t { identity, elu, relu, exp };

struct LinearAttentionOptions {
  UpdateRule rule = UpdateRule::linear;
  FeatureMap features = FeatureMap::identity;
  bool normalise = false;  // linear and gated rule only
  // false: every query reads the state behind the last key, so tokens of q and of k may differ in
  // number; linear rule only. It equals the quadratic form Σ_j φ(q)·φ(k_j) v_j, normalised or not.
  bool causal = true;
  std::optional<float> scale = {};  // default 1/√dim; none with normalise, where it would cancel
  int threads = 0;                  // 0 = all cores; never changes a bit
};

struct LinearAttentionInputs {
  InputView<4> q, k, v;
  InputView<4> decay = {};    // gated rules, and no others
  InputView<3> beta = {};     // delta rules, and no others
  InputView<4> state = {};    // default: zeros
  InputView<3> key_sum = {};  // normalise only; default: zeros
  // A ragged batch: the arrays have batch 1, and sequence s holds the tokens offsets[s] ..
  // offsets[s + 1] - 1. Default: each of the batch is a sequence.
  std::span<const int64_t> offsets = {};
  std::span<const int64_t> key_offsets = {};  // of k and v, without causal; default: offsets
};

struct LinearAttentionOutputs {
  OutputView<4> out;
  // Filled where their data is set; each may be the very memory that came in.
  OutputView<4> state = {};
  OutputView<3> key_sum = {};
};

void linear_attention(const LinearAttentionInputs& in, const LinearAttentionOutputs& out,
                      const LinearAttentionOptions& options = {});

// ---- gradients ----

// What is known of a loss: its gradients with respect to what linear_attention() wrote.
struct LinearAttentionUpstream {
  InputView<4> dout;
  InputView<4> out = {};       // normalise only: what linear_attention() wrote, best in f32
  InputView<4> dstate = {};    // default: zeros
  InputView<3> dkey_sum = {};  // default: zeros
};
// Each has the shape of its input and is overwritten where its data is set.
struct LinearAttentionGradients {
  OutputView<4> dq = {}, dk = {}, dv = {};
  OutputView<4> ddecay = {};
  OutputView<3> dbeta = {};
  OutputView<4> dstate = {};  // of the state that came in
  OutputView<3> dkey_sum = {};
};

// Walks the tokens backwards, through states recomputed from one kept every 32 tokens: memory is
// linear in tokens. Sums over value columns are in the order that docs/bits.md states.
void linear_attention_backward(const LinearAttentionInputs& in,
                               const LinearAttentionUpstream& upstream,
                               const LinearAttentionGradients& gradients,
                               const LinearAttentionOptions& options = {});

}  // namespace regard
