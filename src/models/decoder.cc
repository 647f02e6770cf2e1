#include "models/decoder.h"

namespace regard::models {

Tensor Decoder::hidden(std::span<const int32_t> tokens, const nn::Step& step) const {
  Tensor x =
      step.drop(embedding(tokens, step.positions), embedding.dropout, 0, nn::Dropped::embedding);
  step.show(0, nn::Site::embedding, x);
  for (const nn::Block& block : blocks) x = block(x, step);
  return x;
}

int64_t Decoder::weight_bytes() const noexcept {
  int64_t bytes = head.matrix.bytes();
  for (const nn::Block& block : blocks) bytes += block.bytes();
  return bytes;
}

}  // namespace regard::models
