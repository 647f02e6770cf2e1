#include "reference/similarity.h"

#include <cmath>

#include "reference/numbers.h"

namespace regard::reference {
namespace {

double dot_product(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t d = 0; d < n; ++d) sum += a[d] * b[d];
  return sum;
}

// 1 / ‖x‖; 0 for the zero vector, so that its cosine with anything is 0.
double inverse_norm(const double* x, int64_t n) {
  const double norm = std::sqrt(dot_product(x, x, n));
  return norm == 0 ? 0 : 1 / norm;
}

}  // namespace

SimilarityFormula::SimilarityFormula(const Similarity& similarity, int64_t dim_q, int64_t dim_k)
    : kind_(similarity.kind), dim_q_(dim_q), dim_k_(dim_k) {
  if (similarity.parameters) {
    parameters_ = numbers_of(*similarity.parameters);
    d_parameters_.resize(parameters_.size());
    by_head_ = similarity.parameters->rank() == (kind_ == Similarity::Kind::bilinear ? 3 : 2) &&
               similarity.parameters->shape(0) > 1;
  }
}

double SimilarityFormula::default_scale() const {
  switch (kind_) {
    case Similarity::Kind::dot:
    case Similarity::Kind::bilinear:
      return dim_k_ == 0 ? 1 : 1 / std::sqrt(static_cast<double>(dim_k_));
    case Similarity::Kind::negative_distance:
      return dim_k_ == 0 ? 1 : 1 / (2 * std::sqrt(static_cast<double>(dim_k_)));
    default:
      return 1;
  }
}

const double* SimilarityFormula::of_head(const std::vector<double>& numbers, int64_t head,
                                         int64_t size) const {
  return numbers.data() + (by_head_ ? head * size : 0);
}

double SimilarityFormula::operator()(int64_t head, const double* q, const double* k) const {
  switch (kind_) {
    case Similarity::Kind::dot:
      return dot_product(q, k, dim_k_);
    case Similarity::Kind::cosine:
      return dot_product(q, k, dim_k_) * inverse_norm(q, dim_k_) * inverse_norm(k, dim_k_);
    case Similarity::Kind::negative_distance: {
      double sum = 0;
      for (int64_t d = 0; d < dim_k_; ++d) sum += (q[d] - k[d]) * (q[d] - k[d]);
      return -sum;
    }
    case Similarity::Kind::bilinear: {
      const double* const w = of_head(parameters_, head, dim_q_ * dim_k_);
      double sum = 0;
      for (int64_t a = 0; a < dim_q_; ++a) sum += q[a] * dot_product(w + a * dim_k_, k, dim_k_);
      return sum;
    }
    case Similarity::Kind::additive: {
      const double* const v = of_head(parameters_, head, dim_k_);
      double sum = 0;
      for (int64_t d = 0; d < dim_k_; ++d) sum += v[d] * std::tanh(q[d] + k[d]);
      return sum;
    }
  }
  return 0;
}

void SimilarityFormula::add_gradient(int64_t head, const double* q, const double* k, double du,
                                     double* dq, double* dk) {
  switch (kind_) {
    case Similarity::Kind::dot:
      for (int64_t d = 0; d < dim_k_; ++d) {
        dq[d] += du * k[d];
        dk[d] += du * q[d];
      }
      return;
    case Similarity::Kind::cosine: {
      // ∂u/∂q = (k/‖k‖ - u q/‖q‖) / ‖q‖, and with q and k exchanged.
      const double by_q = inverse_norm(q, dim_k_), by_k = inverse_norm(k, dim_k_);
      const double u = dot_product(q, k, dim_k_) * by_q * by_k;
      for (int64_t d = 0; d < dim_k_; ++d) {
        dq[d] += du * (k[d] * by_k - u * q[d] * by_q) * by_q;
        dk[d] += du * (q[d] * by_q - u * k[d] * by_k) * by_k;
      }
      return;
    }
    case Similarity::Kind::negative_distance:
      for (int64_t d = 0; d < dim_k_; ++d) {
        dq[d] += du * -2 * (q[d] - k[d]);
        dk[d] += du * 2 * (q[d] - k[d]);
      }
      return;
    case Similarity::Kind::bilinear: {
      const int64_t first = by_head_ ? head * dim_q_ * dim_k_ : 0;
      for (int64_t a = 0; a < dim_q_; ++a) {
        for (int64_t b = 0; b < dim_k_; ++b) {
          const auto at = static_cast<std::size_t>(first + a * dim_k_ + b);
          dq[a] += du * parameters_[at] * k[b];
          dk[b] += du * q[a] * parameters_[at];
          d_parameters_[at] += du * q[a] * k[b];
        }
      }
      return;
    }
    case Similarity::Kind::additive: {
      const int64_t first = by_head_ ? head * dim_k_ : 0;
      for (int64_t d = 0; d < dim_k_; ++d) {
        const auto at = static_cast<std::size_t>(first + d);
        const double t = std::tanh(q[d] + k[d]);
        const double inner = du * parameters_[at] * (1 - t * t);
        dq[d] += inner;
        dk[d] += inner;
        d_parameters_[at] += du * t;
      }
      return;
    }
  }
}

}  // namespace regard::reference
