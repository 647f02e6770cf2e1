// One query of Bahdanau's additive score over the keys of its source, and the weighted sum of
// values; each with its gradient. Bahdanau, Cho and Bengio 2015, appendix A.1.2:
//   e_j = Σ_u v_u tanh(q_u + k_ju)      context = Σ_j α_j values_j
// f32 runs the active target's kernels with the same bits on each, sums in 16 lanes; f64 is the
// formula. tanh is computed again on the way back: keeping it moves as many bytes as it saves.
#pragma once

#include <cstdint>

namespace regard {

template <class T>
struct AdditiveRow {
  int64_t keys;
  int64_t units;
  const T* query;    // [units]
  const T* key;      // [keys, units]
  const T* weights;  // v [units]
};
// scores [keys]
void additive_scores(const AdditiveRow<float>& row, float* scores);
void additive_scores(const AdditiveRow<double>& row, double* scores);
// dquery [units] is written, dkeys [keys, units] and dweights [units] are added to.
void additive_scores_gradient(const AdditiveRow<float>& row, const float* dscores, float* dquery,
                              float* dkeys, float* dweights);
void additive_scores_gradient(const AdditiveRow<double>& row, const double* dscores, double* dquery,
                              double* dkeys, double* dweights);

template <class T>
struct WeighedRow {
  int64_t keys;
  int64_t width;
  const T* values;  // [keys, width]
};
// context [width] of alpha [keys]
void weighed_values(const WeighedRow<float>& row, const float* alpha, float* context);
void weighed_values(const WeighedRow<double>& row, const double* alpha, double* context);
// dalpha [keys] of dcontext [width]
void weighed_values_gradient(const WeighedRow<float>& row, const float* dcontext, float* dalpha);
void weighed_values_gradient(const WeighedRow<double>& row, const double* dcontext, double* dalpha);

// scores become softmax(scores); dalpha becomes the gradient of the scores that alpha came from.
void softmax_row(int64_t keys, float* scores);
void softmax_row(int64_t keys, double* scores);
void softmax_row_gradient(int64_t keys, const float* alpha, float* dalpha);
void softmax_row_gradient(int64_t keys, const double* alpha, double* dalpha);

}  // namespace regard
