#include "runtime/score.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include "base/check.h"
#include "runtime/batch.h"
#include "runtime/generate.h"
#include "runtime/sampler.h"
#include "tensor/pool.h"

namespace regard {
namespace {

static_assert(std::endian::native == std::endian::little, "bits hashes little-endian logits");

// What is gathered about one sequence while its logits pass by in order.
class Tally {
 public:
  Tally(const Batch& batch, std::span<const TokenId> ids)
      : sequence_(batch.start(ids, std::ssize(ids))), hash_(XXH64_createState()) {
    if (!hash_) fail(ErrorKind::out_of_memory, "score: no memory for a hash");
    XXH64_reset(hash_.get(), 0);
  }

  Sequence& sequence() noexcept { return sequence_; }

  // log_sum: log Σ exp(logits).
  void add(int64_t position, std::span<const float> logits, float log_sum, int64_t top) {
    if (!std::isfinite(log_sum)) {
      fail(ErrorKind::unreadable,
           "model: the logits at position {} are not finite; the file is damaged", position);
    }
    XXH64_update(hash_.get(), logits.data(), logits.size_bytes());
    const int64_t next = position + 1;
    if (next < std::ssize(sequence_.ids)) {
      nll_ += static_cast<double>(log_sum) - static_cast<double>(logits[sequence_.ids[next]]);
    } else {
      result_.top = largest(logits, top);
    }
  }

  Score finish(double ms) {
    result_.token_count = std::ssize(sequence_.ids);
    const int64_t predicted = result_.token_count - 1;
    result_.mean_nll = predicted > 0 ? nll_ / static_cast<double>(predicted)
                                     : std::numeric_limits<double>::quiet_NaN();
    result_.perplexity = std::exp(result_.mean_nll);
    result_.bits = fmt::format("{:016x}", XXH64_digest(hash_.get()));
    result_.ms = ms;
    return std::move(result_);
  }

 private:
  struct FreeHash {
    void operator()(XXH64_state_t* hash) const noexcept { XXH64_freeState(hash); }
  };

  Sequence sequence_;
  std::unique_ptr<XXH64_state_t, FreeHash> hash_;
  double nll_ = 0;
  Score result_;
};

struct Row {
  Tally* tally;
  int64_t sequence;
  int64_t position;
};

}  // namespace

std::vector<Score> score(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> batch_ids,
                         const ScoreOptions& options) {
  const models::DecoderConfig& config = checkpoint.model.config;
  require(!checkpoint.model.encoder,
          "score: {} has an encoder; only models that are decoders alone are scored",
          checkpoint.facts.path);
  require(options.top >= 0, "top: {} is negative", options.top);
  std::vector<int64_t> lengths;
  int64_t total = 0;
  for (const std::vector<TokenId>& ids : batch_ids) {
    check_prompt(config, ids);
    lengths.push_back(std::ssize(ids));
    total += std::ssize(ids);
  }
  const UsePool pool(checkpoint.pool);
  const DefaultFloatMode mode;
  const auto start = std::chrono::steady_clock::now();
  Batch batch(checkpoint.model, options.run, lengths);
  std::vector<Tally> tallies;
  for (const std::vector<TokenId>& ids : batch_ids) tallies.emplace_back(batch, ids);

  std::vector<Row> rows;
  std::vector<int64_t> indices;
  for (int64_t done = 0; done < total;) {
    if (options.run.interrupt != nullptr && *options.run.interrupt) {
      fail(ErrorKind::failed, "score: interrupted after {} of {} tokens", done, total);
    }
    rows.clear();
    indices.clear();
    Schedule schedule(options.run);
    for (Tally& tally : tallies) {
      Sequence& sequence = tally.sequence();
      const int64_t tokens = schedule.share(sequence.waiting());
      for (int64_t i = 0; i < tokens; ++i) {
        indices.push_back(std::ssize(indices));
        rows.push_back({&tally, &tally - tallies.data(), sequence.cached + i});
      }
      if (tokens > 0) batch.add(sequence, tokens);
    }
    const Tensor hidden = batch.run();
    batch.logits(hidden, indices, [&](int64_t first, const Tensor& logits) {
      const auto numbers = logits.view<float, 2>();
      const Tensor log_sums = log_sum_exp(logits);
      const auto sums = log_sums.view<float, 1>();
      for (int64_t i = 0; i < numbers.shape[0]; ++i) {
        const Row& row = rows[first + i];
        const std::span<const float> one(numbers[i].data, config.vocabulary);
        row.tally->add(row.position, one, sums[i], options.top);
        if (options.run.logits) options.run.logits(row.sequence, row.position, one);
      }
    });
    done += std::ssize(rows);
    if (options.run.progress) options.run.progress(done, total);
  }

  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  std::vector<Score> scores;
  for (Tally& tally : tallies) scores.push_back(tally.finish(ms));
  return scores;
}

}  // namespace regard
