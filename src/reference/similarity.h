// u(q, k) of one query and one key, and its gradient: the formulas of attention_options.h.
#pragma once

#include <vector>

#include "regard/attention_options.h"

namespace regard::reference {

class SimilarityFormula {
 public:
  SimilarityFormula(const Similarity& similarity, int64_t dim_q, int64_t dim_k);

  // q [dim of q], k [dim of k]
  double operator()(int64_t head, const double* q, const double* k) const;
  // Adds du times the derivatives to dq, dk and d_parameters().
  void add_gradient(int64_t head, const double* q, const double* k, double du, double* dq,
                    double* dk);
  double default_scale() const;
  const std::vector<double>& d_parameters() const { return d_parameters_; }

 private:
  const double* of_head(const std::vector<double>& numbers, int64_t head, int64_t size) const;

  Similarity::Kind kind_;
  int64_t dim_q_, dim_k_;
  std::vector<double> parameters_, d_parameters_;  // [1 or heads, ...]
  bool by_head_ = false;
};

}  // namespace regard::reference
