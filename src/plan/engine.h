// Engine: one ragged batch planned and run, over keys from anywhere.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/threads.h"
#include "plan/cut.h"
#include "plan/key_source.h"
#include "plan/setting.h"

namespace regard {

// What runs of a plan may ask for besides out and lse: it needs workspace.
struct Wanted {
  bool by_products = false;  // entropy, key_sums, the largest weights, matrices
  int64_t top = 0;           // how many of the largest weights
};

class Engine {
 public:
  // Throws Error naming argument, rule and numbers. threads: how many there are to run on.
  Engine(const AttentionShape& shape, std::span<const Segment> segments,
         const AttentionOptions& options, int threads, const Wanted& wanted = {});
  // Once it has seen the largest batch it allocates nothing.
  // shared_keys: so many keys all segments begin with are the same.
  void replan(std::span<const Segment> segments, int64_t shared_keys = 0);

  int64_t workspace_bytes() const noexcept;
  // Reads the captured arrays, to count tiles.
  std::string explain();
  const Setting& setting() const noexcept { return setting_; }
  const SharedPrefix& shared() const noexcept { return shared_; }

  // Throws Error before anything is written when q or out do not fit the plan.
  void run(const KeySource& source, const CallArrays& arrays, ThreadPool& pool);

 private:
  int64_t thread_bytes() const noexcept;  // of scratch
  int64_t buffer_bytes() const noexcept;  // of the workspace
  float* partials() const;
  float* behind_partials() const;
  float* statistics() const;
  void read_arrays();
  void read_parameters();

  Setting setting_;
  Cut cut_;
  SharedPrefix shared_;
  std::vector<std::atomic<int32_t>> pending_;  // parts of a join still to come
  int64_t rows_ = 0, slabs_ = 1;               // of q and out
  int64_t parameter_step_ = 0;
  std::vector<float> parameters_;  // of the similarity, as the kernels read them
  Buffer workspace_;
};

}  // namespace regard
