// AttentionPlan: attention() in two steps, for those who call it again and again. A plan fixes
// shapes, options, tiles and workspace of one ragged batch; run computes it, layer after layer, and
// allocates nothing.
//
//   AttentionPlan plan({.heads = 32, .kv_heads = 8, .dim = 128, .dim_v = 128}, segments,
//                      {.mask = causal(), .threads = 2});
//   for (int64_t layer = 0; layer < layers; ++layer) {
//     cache.append(layer, segments, k, v);
//     plan.run(cache, layer, q, out);
//   }
//
// Results are those of attention() on the numbers that the cache stores, bit for bit, whatever the
// plan's batch, threads and pages.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "regard/any_view.h"
#include "regard/attention.h"
#include "regard/kv_cache.h"
#include "regard/view.h"

namespace regard {

class KeySource;
class ThreadPool;

struct AttentionShape {
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t dim = 64;
  int64_t dim_v = 64;
  int64_t dim_k = -1;  // of k, where it is not that of q: bilinear similarity
};

// Threads: one call on a plan at a time; different plans may run at the same time, also over one
// cache.
class AttentionPlan {
 public:
  // The block tables of the segments are read when the plan runs: they must live so long.
  // Throws Error naming argument, rule and numbers.
  AttentionPlan(const AttentionShape& shape, std::span<const Segment> segments,
                const AttentionOptions& options = {});
  // The same for the next step's segments; once it has seen the largest batch it allocates nothing.
  //
  // shared_keys: so many first keys are the same for all segments, whose block tables begin with
  // the same pages (cascade attention of a shared prefix). Whole chunks of 512 of them are read
  // once and multiplied with the rows of all segments together; what is left over is read by each.
  // No bit changes. It takes rows that lie next to each other in q, in the order of the segments, a
  // mask that shows every row all shared keys, and no program; explain() says where it is not used.
  void replan(std::span<const Segment> segments, int64_t shared_keys = 0);
  ~AttentionPlan();
  AttentionPlan(AttentionPlan&&) noexcept;
  AttentionPlan& operator=(AttentionPlan&&) noexcept;

  // What it was made from: segments as they were last planned, options as they were given.
  std::span<const Segment> segments() const noexcept;
  const AttentionOptions& options() const noexcept;

  // All the memory that a run uses besides its arrays.
  int64_t workspace_bytes() const noexcept;
  // In words: target, tiles, how the work is cut and why.
  std::string explain() const;

  // Over keys and values in pages: those of each segment's block table.
  // q [rows, heads, dim], out [rows, heads, dim_v], lse [rows, heads] when its data is set; rows
  // outside of all segments are left as they are.
  // Throws Error before anything is written when q, out, the cache or a block table do not fit.
  void run(const KvCache& cache, int64_t layer, InputView<3> q, OutputView<3> out,
           View<float, 2> lse = {});
  // Over arrays: those of a segment are k and v [first_key, first_key + keys).
  // k [all keys, kv_heads, dim], v [all keys, kv_heads, dim_v].
  void run(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
           View<float, 2> lse = {});

  // The same on a pool that the caller keeps, and over keys that lie elsewhere: for regard's own
  // rooms.
  void run(const KvCache& cache, int64_t layer, InputView<3> q, OutputView<3> out, ThreadPool& pool,
           View<float, 2> lse = {});
  void run(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out, ThreadPool& pool,
           View<float, 2> lse = {});
  void run(const KeySource& source, InputView<3> q, OutputView<3> out, ThreadPool& pool,
           View<float, 2> lse = {});

 private:
  void check(const KvCache& cache, int64_t layer) const;

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace regard
