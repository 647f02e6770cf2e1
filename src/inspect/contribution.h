// How long is what a key adds to the residual stream through one head? ‖α v W_O‖ = α ‖v W_O‖, and
// ‖v W_O‖² = vᵀ G v with G = W_Oᵀ W_O of that head: the width is summed over once, not for each
// key. Attention is Not Only a Weight: Analyzing Transformers with Vector Norms (Kobayashi et al.
// 2020).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inspect/capture.h"
#include "regard/view.h"

namespace regard::inspect {

// The output matrix of one layer as its heads' Gram matrices, in f64.
class OutputGram {
 public:
  OutputGram(int64_t heads, int64_t dim_v);

  // One output feature: its weights on the heads' values, [heads · dim_v].
  void add_row(std::span<const float> weights);

  // ‖v W_O‖ for a value [dim_v] that goes through `head`.
  double norm(int64_t head, const float* value) const;

 private:
  int64_t heads_;
  int64_t dim_v_;
  std::vector<double> gram_;  // [heads, dim_v, dim_v], the lower triangle
};

// ‖v_j W_O‖ of every key of a layer, in f32: [heads, tokens].
std::vector<float> output_norms(const Capture& capture, int64_t layer);

}  // namespace regard::inspect
