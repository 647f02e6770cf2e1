#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"
#include "kernels/elementwise.h"

namespace regard {
namespace {

TokenId greedy(std::span<const float> logits) {
  TokenId best = -1;
  float most = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]) || (best >= 0 && logits[id] <= most)) continue;
    best = static_cast<TokenId>(id);
    most = logits[id];
  }
  return best;
}

}  // namespace

void check(const SamplingOptions& options) {
  require(std::isfinite(options.temperature) && options.temperature >= 0,
          "temp: {} is not a number from 0 on", options.temperature);
  require(options.top_k >= 0, "top-k: {} is negative; 0 keeps every token", options.top_k);
  require(options.top_p > 0 && options.top_p <= 1, "top-p: {} is not above 0 and at most 1",
          options.top_p);
  require(options.min_p >= 0 && options.min_p <= 1, "min-p: {} is not in 0 .. 1", options.min_p);
}

Sampler::Sampler(const SamplingOptions& options, int64_t vocabulary) : options_(options) {
  check(options);
  if (options.temperature > 0) {
    kept_.reserve(static_cast<std::size_t>(vocabulary));
    scratch_.reserve(static_cast<std::size_t>(vocabulary));
  }
}

TokenId Sampler::draw(std::span<const float> logits, int64_t position) {
  const TokenId likeliest = greedy(logits);
  if (likeliest < 0 || !std::isfinite(logits[likeliest])) {
    fail(ErrorKind::unreadable,
         "model: the logits at position {} are not finite; the file is damaged", position - 1);
  }
  if (options_.temperature == 0) return likeliest;

  kept_.clear();
  for (std::size_t id = 0; id < logits.size(); ++id) {
    // From the largest down: a small temperature cannot overflow.
    const float logit = (logits[id] - logits[likeliest]) / options_.temperature;
    if (!std::isnan(logit)) kept_.push_back({static_cast<TokenId>(id), logit, 0});
  }
  keep_top_k();
  weigh();
  keep_top_p();
  keep_min_p();

  double total = 0;
  for (const Candidate& candidate : kept_) total += candidate.weight;
  const double target = uniform(options_.seed, static_cast<uint64_t>(position)) * total;
  double sum = 0;
  TokenId last = likeliest;
  for (const Candidate& candidate : kept_) {
    if (candidate.weight == 0) continue;
    sum += candidate.weight;
    last = candidate.id;
    if (sum > target) break;
  }
  return last;
}

void Sampler::weigh() {
  scratch_.clear();
  for (const Candidate& candidate : kept_) scratch_.push_back(candidate.logit);
  exp(scratch_.data(), static_cast<int64_t>(scratch_.size()), scratch_.data());
  for (std::size_t i = 0; i < kept_.size(); ++i) kept_[i].weight = scratch_[i];
}

namespace {

constexpr auto kLikelier = [](const auto& a, const auto& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
};
constexpr auto kLowerId = [](const auto& a, const auto& b) { return a.id < b.id; };

}  // namespace

void Sampler::keep_top_k() {
  const auto k = static_cast<std::size_t>(options_.top_k);
  if (k == 0 || k >= kept_.size()) return;
  std::nth_element(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(k), kept_.end(),
                   kLikelier);
  kept_.resize(k);
  std::sort(kept_.begin(), kept_.end(), kLowerId);
}

// The likeliest are taken one by one from a heap: most of a vocabulary is never sorted.
void Sampler::keep_top_p() {
  if (options_.top_p >= 1) return;
  double total = 0;
  for (const Candidate& candidate : kept_) total += candidate.weight;
  const double wanted = total * static_cast<double>(options_.top_p);
  const auto less_likely = [](const Candidate& a, const Candidate& b) { return kLikelier(b, a); };
  std::make_heap(kept_.begin(), kept_.end(), less_likely);
  auto taken = kept_.end();  // [taken, end) was taken, the likeliest last
  double sum = 0;
  while (taken != kept_.begin() && sum < wanted) {
    std::pop_heap(kept_.begin(), taken, less_likely);
    --taken;
    sum += taken->weight;
  }
  kept_.erase(kept_.begin(), taken);
  std::sort(kept_.begin(), kept_.end(), kLowerId);
}

// The likeliest token's weight is 1, so weights compare with min_p as they are.
void Sampler::keep_min_p() {
  if (options_.min_p == 0) return;
  std::erase_if(kept_,
                [&](const Candidate& candidate) { return candidate.weight < options_.min_p; });
}

std::vector<std::pair<TokenId, float>> largest(std::span<const float> logits, int64_t count) {
  std::vector<std::pair<TokenId, float>> all(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    all[id] = {static_cast<TokenId>(id), logits[id]};
  }
  const auto end = all.begin() + std::min<std::ptrdiff_t>(count, std::ssize(all));
  std::partial_sort(all.begin(), end, all.end(), [](const auto& a, const auto& b) {
    if (std::isnan(a.second) || std::isnan(b.second))
      return !std::isnan(a.second) && std::isnan(b.second);
    return a.second > b.second || (a.second == b.second && a.first < b.first);
  });
  all.erase(end, all.end());
  return all;
}

}  // namespace regard
