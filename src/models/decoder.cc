#include "models/decoder.h"

namespace regard::models {

Tensor Decoder::hidden(std::span<const int32_t> tokens, const nn::Step& step) const {
  Tensor x = embedding(tokens);
  for (const nn::Block& block : blocks) x = block(x, step);
  return x;
}

int64_t Decoder::weight_bytes() const noexcept {
  int64_t bytes = head.matrix->bytes();
  for (const nn::Block& block : blocks) {
    for (const nn::Linear* linear :
         {&block.attention.query, &block.attention.key, &block.attention.value,
          &block.attention.output, &block.mlp.gate, &block.mlp.up, &block.mlp.down}) {
      bytes += linear->matrix->bytes();
    }
  }
  return bytes;
}

}  // namespace regard::models
