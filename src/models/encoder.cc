#include "models/encoder.h"

namespace regard::models {

Tensor Encoder::hidden(std::span<const int32_t> tokens, std::span<const int32_t> positions,
                       std::span<const Segment> segments, AttentionPlan& plan,
                       nn::Observer* observer) const {
  const nn::AttentionStep kind{.segments = segments, .plan = &plan};
  const nn::Step step{.positions = positions, .kinds = {&kind, 1}, .observer = observer};
  return hidden(tokens, step);
}

Tensor Encoder::hidden(std::span<const int32_t> tokens, const nn::Step& step) const {
  Tensor x =
      step.drop(embedding(tokens, step.positions), embedding.dropout, 0, nn::Dropped::embedding);
  step.show(0, nn::Site::embedding, x);
  for (const nn::Block& block : blocks) x = block(x, step);
  return norm(std::move(x));
}

int64_t Encoder::bytes() const noexcept {
  int64_t bytes = 0;
  for (const nn::Block& block : blocks) bytes += block.bytes();
  return bytes;
}

}  // namespace regard::models
