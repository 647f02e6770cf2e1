#include "runtime/encode.h"

#include <utility>

#include "base/check.h"
#include "tensor/pool.h"

namespace regard {
namespace {

AttentionPlan empty_plan(const models::EncoderConfig& config) {
  AttentionOptions options = config.options;
  options.threads = current_pool().threads();
  return {config.attention_shape(), {}, options};
}

}  // namespace

EncoderPass::EncoderPass(const models::Encoder& encoder)
    : encoder_(encoder), plan_(empty_plan(encoder.config)) {}

int64_t EncoderPass::share(std::span<const std::vector<TokenId>> texts) {
  int64_t count = 0;
  int64_t tokens = 0;
  for (const std::vector<TokenId>& text : texts) {
    tokens += std::ssize(text);
    if (count > 0 && tokens > kEncoderTokens) break;
    ++count;
  }
  return count;
}

Tensor EncoderPass::run(std::span<const std::vector<TokenId>> texts, nn::Observer* observer) {
  tokens_.clear();
  positions_.clear();
  segments_.clear();
  for (const std::vector<TokenId>& text : texts) {
    const int64_t first = std::ssize(tokens_);
    segments_.push_back({.first_row = first,
                         .rows = std::ssize(text),
                         .keys = std::ssize(text),
                         .first_key = first});
    tokens_.insert(tokens_.end(), text.begin(), text.end());
    for (int64_t i = 0; i < std::ssize(text); ++i) positions_.push_back(static_cast<int32_t>(i));
  }
  plan_.replan(segments_);
  return encoder_.hidden(tokens_, positions_, segments_, plan_, observer);
}

void check_text(const models::EncoderConfig& config, std::span<const TokenId> ids) {
  require(!ids.empty(), "text: it has no tokens, at least 1 is needed");
  require(std::ssize(ids) <= config.context,
          "text: {} tokens are more than the model's {} of {}; --truncate (an option of embed) "
          "shortens it",
          ids.size(), config.context_name, config.context);
  for (const TokenId id : ids) {
    require(id >= 0 && id < config.vocabulary, "text: id {} is not in 0 .. {}", id,
            config.vocabulary - 1);
  }
}

}  // namespace regard
