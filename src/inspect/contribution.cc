#include "inspect/contribution.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace regard::inspect {

OutputGram::OutputGram(int64_t heads, int64_t dim_v)
    : heads_(heads), dim_v_(dim_v), gram_(static_cast<std::size_t>(heads * dim_v * dim_v)) {
  require(heads >= 0 && dim_v >= 1, "contribution: {} heads of dim_v {}", heads, dim_v);
}

void OutputGram::add_row(std::span<const float> weights) {
  require(static_cast<int64_t>(weights.size()) == heads_ * dim_v_,
          "contribution: a row of {} weights is not heads {} times dim_v {}", weights.size(),
          heads_, dim_v_);
  for (int64_t head = 0; head < heads_; ++head) {
    const float* w = weights.data() + head * dim_v_;
    double* gram = gram_.data() + head * dim_v_ * dim_v_;
    for (int64_t a = 0; a < dim_v_; ++a) {
      for (int64_t b = 0; b <= a; ++b) gram[a * dim_v_ + b] += double{w[a]} * double{w[b]};
    }
  }
}

double OutputGram::norm(int64_t head, const float* value) const {
  const double* gram = gram_.data() + head * dim_v_ * dim_v_;
  double square = 0;
  for (int64_t a = 0; a < dim_v_; ++a) {
    double off_diagonal = 0;
    for (int64_t b = 0; b < a; ++b) off_diagonal += gram[a * dim_v_ + b] * double{value[b]};
    const double diagonal = gram[a * dim_v_ + a] * double{value[a]};
    square += double{value[a]} * (diagonal + 2 * off_diagonal);
  }
  // A value in the null space of W_O may come out below zero by rounding; a NaN stays one.
  return square < 0 ? 0 : std::sqrt(square);
}

std::vector<float> output_norms(const Capture& capture, int64_t layer) {
  const models::DecoderConfig& config = capture.model().config;
  require(layer >= 0 && layer < config.layers, "inspect: layer {} is not in 0 .. {}", layer,
          config.layers - 1);
  const nn::Attention& attention =
      capture.model().blocks[static_cast<std::size_t>(layer)].attention;
  const PackedMatrix& matrix = *attention.output.matrix.packed;  // [width, heads · dim_v]
  OutputGram gram(config.heads, config.dim_v);
  std::vector<float> weights(static_cast<std::size_t>(matrix.inputs()));
  for (int64_t output = 0; output < matrix.outputs(); ++output) {
    matrix.row(output, weights.data());
    gram.add_row(weights);
  }

  const int64_t tokens = capture.tokens();
  std::vector<float> norms(static_cast<std::size_t>(config.heads * tokens));
  std::vector<float> values;
  for (int64_t head = 0; head < config.heads; ++head) {
    const int64_t kv_head = capture.kv_head(head);
    if (head == 0 || kv_head != capture.kv_head(head - 1)) values = capture.values(layer, kv_head);
    for (int64_t key = 0; key < tokens; ++key) {
      norms[static_cast<std::size_t>(head * tokens + key)] =
          static_cast<float>(gram.norm(head, values.data() + key * config.dim_v));
    }
  }
  return norms;
}

}  // namespace regard::inspect
