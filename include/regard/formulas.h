// Masks, scores, random numbers and weights of papers, as expressions; and how to write one's own
// as a function.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "regard/expr.h"

namespace regard {
namespace program {

// Masks: true where the key is allowed. They compose with & | ~.

Expr causal_mask();                                // j <= i
Expr window(const Expr& left, const Expr& right);  // -left <= j - i <= right
Expr prefix(const Expr& n);  // j < n; causal_mask() | prefix(n) is a prefix LM (Raffel et al. 2020)
Expr documents(const Array& ids);      // id[i] == id[j]; ids integer, [keys] or [batch, keys]
Expr lengths(const Array& keys);       // j < keys[batch]; integer, [batch]
Expr left_padding(const Array& pads);  // j >= pads[batch]; integer, [batch]
// allowed[..., row, j], boolean, the last of the axes [batch, heads, rows, keys]; an axis of
// extent 1 is broadcast.
Expr allowed(const Array& mask);
// blocks[..., ⌊i / block_q⌋, ⌊j / block_k⌋], boolean, the last of [batch, heads, q blocks, k
// blocks] (Child et al. 2019).
Expr block_sparse(const Array& blocks, int block_q, int block_k);
// Tree decoding (Miao et al. 2023): the keys from position first on are a tree of drafts, and row r
// sees draft t if bit t mod 32 of bits[r, ⌊t / 32⌋] is set. Keys before first are allowed. The
// default first is the call's first row: i - row. bits integer, [rows, words].
Expr tree_bits(const Array& bits);
Expr tree_bits(const Array& bits, const Expr& first);
Expr chunk(const Expr& n);       // ⌊i / n⌋ == ⌊j / n⌋
Expr dilated(const Expr& step);  // (i - j) mod step == 0
// Neighbourhood attention (Hassani et al. 2023; dilated 2022): the `kernel` keys nearest to the
// query, at the borders moved inwards, among those whose position agrees mod dilation. length, or
// height · width row-major, is the number of positions; kernel · dilation may not exceed it.
Expr natten(int length, int kernel, int dilation = 1);
Expr natten_2d(int height, int width, int kernel_y, int kernel_x, int dilation = 1);

// Scores: s with something done to it. To chain them, give the first as the second's s.

// s + slopes[h] (j - i), slopes real [heads] (Press et al. 2022).
Expr alibi(const Array& slopes, const Expr& s = score());
// 2^(-8 k / heads), k = 1 .. heads; if heads is no power of two, those of the next lower power p
// and then every other one of 2 p, as the paper's own code does.
std::vector<float> alibi_slopes(int heads);
// s + table[bucket(j - i), h], table real [buckets, heads] (Raffel et al. 2020). Distances below
// half the buckets (of a direction) have one each, longer ones share them logarithmically up to
// max_distance.
Expr t5_bias(const Array& table, int buckets, int max_distance, bool bidirectional,
             const Expr& s = score());
// The bucket of every distance j - i from -max_distance to max_distance.
std::vector<int32_t> t5_buckets(int buckets, int max_distance, bool bidirectional);
// s + table[h, clamp(i - j, -m, m) + m], table real [heads, 2 m + 1] or [2 m + 1] (Shaw et al.
// 2018).
Expr relative_position(const Array& table, const Expr& s = score());
Expr softcap(const Expr& cap, const Expr& s = score());  // tanh(s / cap) cap (Gemma 2, 2024)
// s + bias[..., row, j], the last of the axes [batch, heads, rows, keys]; an axis of extent 1 is
// broadcast.
Expr additive_bias(const Array& bias, const Expr& s = score());

// Random numbers by counting: each score has its own, a hash of (seed, sequence, head, i, j), the
// same on every machine, whatever is computed beside it. Integer operations only, so exact.

// In [0, 1): 24 random bits times 2^-24.
Expr uniform(uint64_t seed);
// -log(-log(u)) with u in (0, 1), and of its own: independent of uniform(seed) (Gumbel 1954). The
// key with the largest s + gumbel_noise(seed) is a draw from softmax(s).
Expr gumbel_noise(uint64_t seed);

}  // namespace program

// A weight program that drops each weight with probability rate (in 0 .. 1) and multiplies the
// others by 1 / (1 - rate): where(uniform(seed) >= rate, weight() · 1/(1 - rate), 0). Keyed on
// (seed, sequence, head, i, j): independent of threads, tiles and batch.
Expr dropout(float rate, uint64_t seed);

// ---- one's own, as functions ----
//
//   mask([](Index i, Index j) { return j <= i && i - j < 256; })
//   score([](Value s, Index i, Index j) { return s - 0.1 * abs(i - j); })
//
// The function is called once, with leaves, and what it returns is the program. Parameters: b
// batch, h head, i the query's position among its sequence's keys, j the key's position, s the
// score, p the normalised weight.

// allowed(i, j) or allowed(b, h, i, j), boolean.
template <class Function>
Expr mask(const Function& allowed) {
  using namespace program;
  if constexpr (std::is_invocable_v<Function, Expr, Expr>) {
    return allowed(query(), key());
  } else {
    return allowed(batch(), head(), query(), key());
  }
}

// of(s), of(s, i, j) or of(s, b, h, i, j).
template <class Function>
Expr score(const Function& of) {
  using namespace program;
  const Expr s = program::score();
  if constexpr (std::is_invocable_v<Function, Expr>) {
    return of(s);
  } else if constexpr (std::is_invocable_v<Function, Expr, Expr, Expr>) {
    return of(s, query(), key());
  } else {
    return of(s, batch(), head(), query(), key());
  }
}
// of(p), of(p, i, j) or of(p, b, h, i, j).
template <class Function>
Expr weight(const Function& of) {
  return score(of);  // the same leaf
}

}  // namespace regard
