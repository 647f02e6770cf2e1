// What the operator gave for a case against the reference: empty, or what is wrong.
#pragma once

#include "cross_forward.h"
#include "measure.h"
#include "reference/kinks.h"

namespace regard::testing {

// Rows in which the output itself jumps: ties of normalisers that pick one key.
inline bool picks_one_key(const Normaliser& normaliser) {
  return normaliser.kind == Normaliser::Kind::hardmax ||
         (normaliser.kind == Normaliser::Kind::gumbel &&
          normaliser.sample != Normaliser::Sample::soft);
}

class ForwardComparison {
 public:
  ForwardComparison(const CrossProblem& p, const ForwardResult& r) : p_(p), r_(r) {
    want_ = p.reference();
    rows_ = static_cast<int64_t>(want_.entropy.size());
    keys_ = rows_ == 0 ? 0 : static_cast<int64_t>(want_.weights.size()) / rows_;
    in_segment_.assign(static_cast<std::size_t>(rows_), 0);
    for (const Segment& segment : p.segments) {
      const int64_t first = (segment.slab * p.q.view().shape[1] + segment.first_row) * p.d.heads;
      std::fill_n(in_segment_.begin() + first, segment.rows * p.d.heads, 1);
    }
    if (picks_one_key(p.options.normaliser)) {
      skipped_ =
          rows_near_a_kink(want_, p.q.view().shape[1], p.d.heads, p.segments, p.options, p.maker);
    }
    skipped_.resize(static_cast<std::size_t>(rows_));
  }

  std::string complaint() {
    out();
    if (r_.out.stray_bytes() != 0) complain("out", "bytes beside it were written");
    // Scores are sums of dim products; entropies and sums of weights have their own sizes.
    numbers("lse", r_.lse, want_.lse, 1, 2e-6);
    numbers("entropy", r_.entropy, want_.entropy, 1, 4e-6);
    numbers("similarities", r_.similarities, want_.similarities, keys_, 4e-6);
    numbers("scores", r_.scores, want_.scores, keys_, 4e-6);
    numbers("masked", r_.masked, want_.masked, keys_, 4e-6);
    numbers("weights", r_.weights, want_.weights, keys_, 4e-6);
    if (!any_skipped()) {
      for (std::size_t n = 0; n < r_.key_sums.size(); ++n) {
        close("key sums", r_.key_sums[n], want_.key_sums[n], 4e-6);
      }
    }
    if (!r_.top_weights.empty()) largest();
    return complaint_;
  }

 private:
  bool any_skipped() const {
    return std::any_of(skipped_.begin(), skipped_.end(), [](char skip) { return skip != 0; });
  }
  void complain(const std::string& what, const std::string& about) {
    if (complaint_.empty()) complaint_ = what + ": " + about;
  }
  void close(const char* what, double is, double wanted, double accuracy) {
    if (is == wanted || (std::isnan(is) && std::isnan(wanted))) return;
    if (std::abs(is - wanted) <= accuracy * std::max(1.0, std::abs(wanted))) return;
    complain(what, std::to_string(is) + ", not " + std::to_string(wanted));
  }

  void out() {
    const std::vector<double> is = r_.out.numbers();
    const int64_t dim_v = p_.d.dim_v;
    Measure measure(r_.out.view().dtype, kRowAccuracy);
    for (int64_t row = 0; row < rows_; ++row) {
      const auto at = static_cast<std::size_t>(row);
      if (in_segment_[at] == 0) {
        for (int64_t d = 0; d < dim_v; ++d) {
          if (!std::isnan(is[static_cast<std::size_t>(row * dim_v + d)])) {
            complain("out", "a row that lies in no segment was written");
          }
        }
        continue;
      }
      if (skipped_[at] != 0) continue;
      // The norm of such a row on the average: that of its weights times that of a value.
      double squares = 0;
      for (int64_t j = 0; j < keys_; ++j) {
        const double w = want_.weights[static_cast<std::size_t>(row * keys_ + j)];
        squares += std::isnan(w) ? 0 : w * w;
      }
      squares += relu_squares(row) + difference_squares(row);
      measure.add_row(is.data() + row * dim_v, want_.out.data() + row * dim_v, dim_v,
                      std::sqrt(squares * static_cast<double>(dim_v)));
    }
    if (!measure.complaint().empty()) complain("out", measure.complaint());
  }

  // Weights of sparsemax and entmax are differences of scores of size 1, and as exact as those.
  double difference_squares(int64_t row) const {
    const Normaliser::Kind kind = p_.options.normaliser.kind;
    if (kind != Normaliser::Kind::sparsemax && kind != Normaliser::Kind::entmax15) return 0;
    const auto first = want_.weights.begin() + row * keys_;
    return static_cast<double>(
        std::count_if(first, first + keys_, [](double w) { return w != 0; }));
  }

  // Scores of size 1 whose sum is small: p = s / Σ s takes on their error, multiplied.
  double relu_squares(int64_t row) const {
    if (p_.options.normaliser.kind != Normaliser::Kind::relu) return 0;
    double count = 0, sum = 0;
    for (int64_t j = 0; j < keys_; ++j) {
      const double s = want_.normaliser_scores[static_cast<std::size_t>(row * keys_ + j)];
      count += s > 0 ? 1 : 0;
      sum += s > 0 ? s : 0;
    }
    return count == 0 ? 0 : count / (sum * sum);
  }

  // [rows, columns]; what was not asked for is empty.
  void numbers(const char* what, const std::vector<float>& is, const std::vector<double>& wanted,
               int64_t columns, double accuracy) {
    for (std::size_t n = 0; n < is.size(); ++n) {
      const std::size_t row = n / static_cast<std::size_t>(columns);
      if (in_segment_[row] != 0 && skipped_[row] == 0) close(what, is[n], wanted[n], accuracy);
    }
  }

  // Weights that are nearly equal may change places.
  void largest() {
    for (int64_t row = 0; row < rows_; ++row) {
      if (in_segment_[static_cast<std::size_t>(row)] == 0 ||
          skipped_[static_cast<std::size_t>(row)] != 0) {
        continue;
      }
      std::vector<double> sorted;
      int64_t allowed = 0;
      bool nan = false;
      const auto weight = [&](int64_t key) {
        return want_.normalised[static_cast<std::size_t>(row * keys_ + key)];
      };
      for (int64_t j = 0; j < keys_; ++j) {
        nan = nan || std::isnan(weight(j));
        allowed += want_.masked[static_cast<std::size_t>(row * keys_ + j)] != -INFINITY ? 1 : 0;
        sorted.push_back(weight(j));
      }
      if (nan) continue;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      for (int64_t n = 0; n < kTop; ++n) {
        const auto at = static_cast<std::size_t>(row * kTop + n);
        const int32_t key = r_.top_keys[at];
        const bool there = n < allowed && sorted[static_cast<std::size_t>(n)] > 0;
        close("top weights", r_.top_weights[at],
              n < keys_ ? sorted[static_cast<std::size_t>(n)] : 0, 2e-6);
        if (key >= 0 && key < keys_) {
          close("weight of a top key", weight(key), r_.top_weights[at], 2e-6);
        } else if (there && sorted[static_cast<std::size_t>(n)] > 1e-30) {
          complain("top keys", "key " + std::to_string(key));
        }
      }
    }
  }

  const CrossProblem& p_;
  const ForwardResult& r_;
  Reference want_;
  int64_t rows_ = 0, keys_ = 0;
  std::vector<char> in_segment_, skipped_;
  std::string complaint_;
};

inline std::string compare_forward(const CrossProblem& p, const ForwardResult& r) {
  return ForwardComparison(p, r).complaint();
}

}  // namespace regard::testing
