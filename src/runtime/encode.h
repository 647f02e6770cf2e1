// EncoderPass: many texts through an encoder at once, one behind the other, nothing padded and
// nothing kept.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/encoder.h"

namespace regard {

// So many tokens go through the layers together, whole texts always: enough for the matrices to be
// read seldom, few enough for what lies between layers to stay in the cache.
inline constexpr int64_t kEncoderTokens = 1024;

class EncoderPass {
 public:
  // Steps run on the pool that is current now.
  explicit EncoderPass(const models::Encoder& encoder);

  // As many texts from the first on as one pass takes; at least one.
  static int64_t share(std::span<const std::vector<TokenId>> texts);

  // The states of all tokens: [tokens, width].
  Tensor run(std::span<const std::vector<TokenId>> texts, nn::Observer* observer = nullptr);

  // Of the texts of the last run: rows are where each text's states are.
  std::span<const Segment> segments() const noexcept { return segments_; }

 private:
  const models::Encoder& encoder_;
  AttentionPlan plan_;
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<Segment> segments_;
};

// Throws Error(invalid_argument) for a text without tokens, one that is longer than the encoder's
// context, and an id that is no token.
void check_text(const models::EncoderConfig& config, std::span<const TokenId> ids);

}  // namespace regard
