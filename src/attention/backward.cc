// attention_backward: who computes which gradient, and in which order they are added.
//
// A task is a chunk of 512 keys of one key/value head: it owns their dk and dv and walks all rows
// of all query heads of the group, in order. dq of a block of 128 rows passes from the task of one
// chunk to the task of the next, as in a wavefront, so that it too is added to in order and nothing
// is computed twice.
#include "tiles/backward.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "attention/ranges.h"
#include "attention/rules.h"
#include "base/shared_pool.h"
#include "base/buffer.h"
#include "base/check.h"
#include "program/band.h"
#include "regard/attention.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr int kChunkTiles = kChunkKeys / kTileKeys;

struct Backward {
  View<const float, 3> q, k, v, out;
  View<const float, 2> lse;
  View<const float, 3> dout;
  View<float, 3> dq, dk, dv;
  program::Band band;
  float scale;

  int64_t tokens() const { return q.shape[0]; }
  int64_t keys() const { return k.shape[0]; }
  int64_t dim() const { return q.shape[2]; }
  int64_t dim_v() const { return v.shape[2]; }
  int64_t columns() const { return round_up(dim(), 16); }
  int64_t columns_v() const { return round_up(dim_v(), 16); }
  int64_t group() const { return q.shape[1] / k.shape[1]; }
  int64_t chunks() const { return (keys() + kChunkKeys - 1) / kChunkKeys; }
  int64_t row_blocks() const { return (tokens() + kGradientRows - 1) / kGradientRows; }

  int64_t limit(int64_t token) const {
    return band.keys_of(keys() - tokens() + token, token, keys()).end;
  }

  // The memory of one thread.
  struct Scratch {
    float *k_panels, *v_panels, *k_rows, *dk, *dv;  // of a chunk, tile after tile
    float *q, *q_rows, *dout, *dout_rows, *dq;      // of a block of rows
    float *lse, *delta, *products;
  };
  static int64_t packed_rows() { return round_up(kGradientRows, kPackedRows); }
  int64_t scratch_numbers() const {
    return kChunkKeys * (dim() + dim_v() + 2 * columns() + columns_v()) +
           packed_rows() * (dim() + dim_v()) + kGradientRows * (2 * columns() + columns_v() + 2) +
           2 * kGradientRows * kTileKeys + 13 * 16;
  }
  Scratch scratch(float* at) const {
    const auto take = [&at](int64_t numbers) {
      float* const here = at;
      at += round_up(numbers, 16);
      return here;
    };
    Scratch s;
    s.k_panels = take(kChunkKeys * dim());
    s.v_panels = take(kChunkKeys * dim_v());
    s.k_rows = take(kChunkKeys * columns());
    s.dk = take(kChunkKeys * columns());
    s.dv = take(kChunkKeys * columns_v());
    s.q = take(packed_rows() * dim());
    s.dout = take(packed_rows() * dim_v());
    s.q_rows = take(kGradientRows * columns());
    s.dout_rows = take(kGradientRows * columns_v());
    s.dq = take(kGradientRows * columns());
    s.lse = take(kGradientRows);
    s.delta = take(kGradientRows);
    s.products = take(2 * kGradientRows * kTileKeys);
    return s;
  }

  int stage_keys(int64_t chunk, int64_t kv_head, const Scratch& s, GradientKeys* tiles) const;
  void stage_block(int64_t head, int64_t first, int rows, const Scratch& s,
                   GradientRows* block) const;
  void add_dq(int64_t head, int64_t first, int rows, bool begin, const float* part) const;
  void run(int64_t chunk, int64_t kv_head, const Scratch& s, std::atomic<int32_t>* progress) const;
};

// Rows [first, first + count) of a head of x.
void point_at(View<const float, 3> x, int64_t head, int64_t first, int count, const float** rows) {
  for (int r = 0; r < count; ++r) rows[r] = &x(first + r, head, 0);
}

// The chunk's keys and values as the kernel reads them. Returns the number of tiles.
int Backward::stage_keys(int64_t chunk, int64_t kv_head, const Scratch& s,
                         GradientKeys* tiles) const {
  const int64_t end = std::min((chunk + 1) * kChunkKeys, keys());
  int count = 0;
  for (int64_t first = chunk * kChunkKeys; first < end; first += kTileKeys, ++count) {
    const int size = static_cast<int>(std::min<int64_t>(kTileKeys, end - first));
    float* const k_panels = s.k_panels + count * kTileKeys * dim();
    float* const v_panels = s.v_panels + count * kTileKeys * dim_v();
    float* const k_rows = s.k_rows + count * kTileKeys * columns();
    for (int key = 0; key < size; key += kPanelKeys) {
      const int some = std::min(kPanelKeys, size - key);
      if (some < kPanelKeys) {
        std::fill_n(k_panels + key * dim(), kPanelKeys * dim(), 0.0f);
        std::fill_n(v_panels + key * dim_v(), kPanelKeys * dim_v(), 0.0f);
      }
      pack_keys(&k(first + key, kv_head, 0), k.strides[0], k.strides[2], dim(), some, 0, DType::f32,
                k_panels + key * dim());
      pack_keys(&v(first + key, kv_head, 0), v.strides[0], v.strides[2], dim_v(), some, 0,
                DType::f32, v_panels + key * dim_v());
    }
    const float* rows[kTileKeys];
    point_at(k, kv_head, first, size, rows);
    const bool finite = stage_rows(rows, k.strides[2], size, dim(), scale, k_rows);
    tiles[count] = {size,
                    k_panels,
                    v_panels,
                    k_rows,
                    finite,
                    s.dk + count * kTileKeys * columns(),
                    s.dv + count * kTileKeys * columns_v()};
  }
  return count;
}

void Backward::stage_block(int64_t head, int64_t first, int rows, const Scratch& s,
                           GradientRows* block) const {
  const float* places[kGradientRows];
  point_at(q, head, first, rows, places);
  pack_queries(places, q.strides[2], rows, dim(), scale, s.q);
  bool finite = stage_rows(places, q.strides[2], rows, dim(), scale, s.q_rows);
  point_at(dout, head, first, rows, places);
  pack_queries(places, dout.strides[2], rows, dim_v(), 1.0f, s.dout);
  finite &= stage_rows(places, dout.strides[2], rows, dim_v(), 1.0f, s.dout_rows);
  for (int r = 0; r < rows; ++r) {
    s.lse[r] = lse(first + r, head);
    s.delta[r] =
        row_product(places[r], dout.strides[2], &out(first + r, head, 0), out.strides[2], dim_v());
  }
  *block = {rows, s.q, s.q_rows, s.dout, s.dout_rows, finite, s.lse, s.delta, s.dq};
}

void Backward::add_dq(int64_t head, int64_t first, int rows, bool begin, const float* part) const {
  for (int r = 0; r < rows; ++r) {
    float* const to = &dq(first + r, head, 0);
    const float* const from = part + r * columns();
    for (int64_t d = 0; d < dim(); ++d) {
      float& sum = to[d * dq.strides[2]];
      sum = begin ? from[d] + 0.0f : sum + from[d];
    }
  }
}

// progress: for each head and block of rows how many chunks it has been through.
void Backward::run(int64_t chunk, int64_t kv_head, const Scratch& s,
                   std::atomic<int32_t>* progress) const {
  GradientKeys tiles[kChunkTiles];
  const int tile_count = stage_keys(chunk, kv_head, s, tiles);
  const int64_t first_key = chunk * kChunkKeys;
  const int64_t end = std::min(first_key + kChunkKeys, keys());
  std::fill_n(s.dk, kChunkKeys * columns(), 0.0f);
  std::fill_n(s.dv, kChunkKeys * columns_v(), 0.0f);
  for (int64_t head = kv_head * group(); head < (kv_head + 1) * group(); ++head) {
    for (int64_t number = 0; number < row_blocks(); ++number) {
      const int64_t first = number * kGradientRows;
      const int rows = static_cast<int>(std::min<int64_t>(kGradientRows, tokens() - first));
      std::fill_n(s.dq, rows * columns(), 0.0f);
      if (limit(first + rows - 1) > first_key) {
        GradientRows block;
        stage_block(head, first, rows, s, &block);
        for (int tile = 0; tile < tile_count; ++tile) {
          int32_t visible[kGradientRows];
          for (int r = 0; r < rows; ++r) {
            const int64_t seen = limit(first + r) - first_key - tile * kTileKeys;
            // All its scores are -inf: as good as no key.
            const bool empty = s.lse[r] == -std::numeric_limits<float>::infinity();
            visible[r] =
                empty ? 0 : static_cast<int32_t>(std::clamp<int64_t>(seen, 0, tiles[tile].keys));
          }
          backward_tile(block, tiles[tile], dim(), dim_v(), visible, s.products);
        }
      } else if (chunk > 0) {
        continue;
      }
      std::atomic<int32_t>& done = progress[head * row_blocks() + number];
      while (done.load(std::memory_order_acquire) < chunk) std::this_thread::yield();
      add_dq(head, first, rows, chunk == 0, s.dq);
      done.store(static_cast<int32_t>(chunk + 1), std::memory_order_release);
    }
  }
  for (int64_t key = first_key; key < end; ++key) {
    const float* const from_k = s.dk + (key - first_key) * columns();
    const float* const from_v = s.dv + (key - first_key) * columns_v();
    for (int64_t d = 0; d < dim(); ++d) dk(key, kv_head, d) = from_k[d];
    for (int64_t d = 0; d < dim_v(); ++d) dv(key, kv_head, d) = from_v[d];
  }
}

void require_shape(const char* name, const std::array<int64_t, 3>& is, int64_t tokens,
                   int64_t heads, int64_t dim) {
  require(is[0] == tokens && is[1] == heads && is[2] == dim,
          "attention_backward: {} is {} x {} x {}, must be {} x {} x {}", name, is[0], is[1], is[2],
          tokens, heads, dim);
}

void fill_zero(View<float, 3> x) {
  for (int64_t i = 0; i < x.shape[0]; ++i) {
    for (int64_t h = 0; h < x.shape[1]; ++h) {
      for (int64_t d = 0; d < x.shape[2]; ++d) x(i, h, d) = 0.0f;
    }
  }
}

}  // namespace

void attention_backward(InputView<3> q_any, InputView<3> k_any, InputView<3> v_any,
                        InputView<3> out_any, View<const float, 2> lse, InputView<3> dout_any,
                        OutputView<3> dq_any, OutputView<3> dk_any, OutputView<3> dv_any,
                        const AttentionOptions& options, std::span<const ArrayGradient>) {
  const View<const float, 3> q = q_any.as<float>(), k = k_any.as<float>(), v = v_any.as<float>();
  const View<const float, 3> out = out_any.as<float>(), dout = dout_any.as<float>();
  const View<float, 3> dq = dq_any.as<float>(), dk = dk_any.as<float>(), dv = dv_any.as<float>();
  active_target();  // an unknown REGARD_TARGET is refused here; inside a kernel nothing may throw
  const int64_t tokens = q.shape[0], heads = q.shape[1], dim = q.shape[2];
  const int64_t keys = k.shape[0], kv_heads = k.shape[1], dim_v = v.shape[2];
  require(tokens >= 0 && heads >= 0 && keys >= 0 && kv_heads >= 0,
          "attention_backward: q is {} x {}, k is {} x {}; no size may be negative", tokens, heads,
          keys, kv_heads);
  require(dim > 0 && dim <= 1024 && dim_v > 0 && dim_v <= 1024,
          "attention_backward: dim ({}) and dim_v ({}) must be in 1 .. 1024", dim, dim_v);
  require(kv_heads > 0 ? heads % kv_heads == 0 : heads == 0,
          "attention_backward: heads ({}) is not a multiple of kv_heads ({})", heads, kv_heads);
  require_shape("k", k.shape, keys, kv_heads, dim);
  require_shape("v", v.shape, keys, kv_heads, dim_v);
  require_shape("out", out.shape, tokens, heads, dim_v);
  require_shape("dout", dout.shape, tokens, heads, dim_v);
  require_shape("dq", dq.shape, tokens, heads, dim);
  require_shape("dk", dk.shape, keys, kv_heads, dim);
  require_shape("dv", dv.shape, keys, kv_heads, dim_v);
  require(lse.shape[0] == tokens && lse.shape[1] == heads,
          "attention_backward: lse is {} x {}, must be {} x {}", lse.shape[0], lse.shape[1], tokens,
          heads);
  const float scale = scale_of(options, dim);
  require(scale - scale == 0.0f, "attention_backward: scale ({}) is not a finite number", scale);
  require(options.threads >= 0 && options.threads <= 1024,
          "attention_backward: threads ({}) is not in 0 .. 1024", options.threads);
  const std::pair<const char*, Range> gradients[] = {
      {"dq", range_of(dq)}, {"dk", range_of(dk)}, {"dv", range_of(dv)}};
  const std::pair<const char*, Range> inputs[] = {{"q", range_of(q)},     {"k", range_of(k)},
                                                  {"v", range_of(v)},     {"out", range_of(out)},
                                                  {"lse", range_of(lse)}, {"dout", range_of(dout)}};
  for (std::size_t i = 0; i < std::size(gradients); ++i) {
    const auto& [name, range] = gradients[i];
    for (const auto& [input, other] : inputs) {
      require(!overlap(range, other),
              "attention_backward: {} overlaps {}; give it memory of its own", name, input);
    }
    for (std::size_t j = 0; j < i; ++j) {
      require(!overlap(range, gradients[j].second), "attention_backward: {} overlaps {}", name,
              gradients[j].first);
    }
  }
  if (tokens == 0 || heads == 0 || keys == 0) {
    fill_zero(dq);
    fill_zero(dk);
    fill_zero(dv);
    return;
  }
  const Backward backward{q, k, v, out, lse, dout, dq, dk, dv, program::split_mask(options.mask).band, scale};
  const SharedPool pool(options.threads);
  const int threads = (*pool).threads();
  const int64_t numbers = round_up(backward.scratch_numbers(), 16);
  const Buffer memory(static_cast<std::size_t>(numbers * threads) * sizeof(float),
                      "attention_backward's workspace");
  std::vector<std::atomic<int32_t>> progress(
      static_cast<std::size_t>(heads * backward.row_blocks()));
  // Chunk after chunk: a task waits for the chunk before, which a thread has taken already.
  (*pool).parallel_for(backward.chunks() * kv_heads, [&](int64_t task, int slot) {
    backward.run(task / kv_heads, task % kv_heads,
                 backward.scratch(memory.as<float>() + slot * numbers), progress.data());
  });
}

}  // namespace regard
