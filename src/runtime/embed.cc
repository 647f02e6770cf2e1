#include "runtime/embed.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/check.h"
#include "runtime/encode.h"
#include "tensor/pool.h"

namespace regard {
namespace {

constexpr double kLeastLength = 1e-12;  // as torch.nn.functional.normalize has it

// One number of the result is made of one column, rows in order: no bit depends on a neighbour.
void pool_rows(Pooling pooling, View<const float, 2> states, float* out) {
  const int64_t tokens = states.shape[0];
  const int64_t width = states.shape[1];
  const float* chosen = states[pooling == Pooling::last ? tokens - 1 : 0].data;
  std::copy_n(chosen, width, out);
  if (pooling == Pooling::cls || pooling == Pooling::last) return;
  for (int64_t row = 1; row < tokens; ++row) {
    const float* state = states[row].data;
    if (pooling == Pooling::mean) {
      for (int64_t i = 0; i < width; ++i) out[i] += state[i];
    } else {
      for (int64_t i = 0; i < width; ++i) out[i] = std::max(out[i], state[i]);
    }
  }
  if (pooling == Pooling::max) return;
  for (int64_t i = 0; i < width; ++i) out[i] /= static_cast<float>(tokens);
}

void normalise(float* numbers, int64_t width) {
  double squares = 0;
  for (int64_t i = 0; i < width; ++i) squares += double{numbers[i]} * double{numbers[i]};
  const double factor = 1 / std::max(std::sqrt(squares), kLeastLength);
  for (int64_t i = 0; i < width; ++i) numbers[i] = static_cast<float>(numbers[i] * factor);
}

// The beginning of a text that is too long, and its last token, by which models know its end.
std::vector<TokenId> shortened(const std::vector<TokenId>& ids, int64_t context) {
  if (std::ssize(ids) <= context) return ids;
  std::vector<TokenId> kept(ids.begin(), ids.begin() + context);
  kept.back() = ids.back();
  return kept;
}

}  // namespace

Embeddings embed(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> texts,
                 const EmbedOptions& options) {
  require(checkpoint.model.encoder != nullptr,
          "embed: {} has no encoder; it continues texts and embeds none", checkpoint.facts.path);
  const models::Encoder& encoder = *checkpoint.model.encoder;
  const models::EncoderConfig& config = encoder.config;
  const UsePool use(checkpoint.pool);
  const auto start = std::chrono::steady_clock::now();
  const Pooling pooling = options.pooling.value_or(config.pooling);
  const bool length_one = options.normalise.value_or(config.normalise);

  Embeddings result;
  result.width = config.width;
  result.ids.reserve(texts.size());
  for (const std::vector<TokenId>& ids : texts) {
    result.ids.push_back(options.truncate ? shortened(ids, config.context) : ids);
    check_text(config, result.ids.back());
  }
  result.numbers.resize(texts.size() * static_cast<std::size_t>(config.width));

  EncoderPass pass(encoder);
  const std::span<const std::vector<TokenId>> all(result.ids);
  for (std::size_t done = 0; done < all.size();) {
    if (options.interrupt != nullptr && *options.interrupt) {
      fail(ErrorKind::failed, "embed: interrupted after {} of {} texts", done, all.size());
    }
    const auto count = static_cast<std::size_t>(EncoderPass::share(all.subspan(done)));
    const Tensor hidden = pass.run(all.subspan(done, count));
    const auto states = hidden.view<float, 2>();
    for (std::size_t i = 0; i < count; ++i) {
      const Segment& segment = pass.segments()[i];
      float* out = result.numbers.data() + (done + i) * static_cast<std::size_t>(config.width);
      pool_rows(pooling, states.rows(segment.first_row, segment.rows), out);
      if (length_one) normalise(out, config.width);
    }
    done += count;
    if (options.progress) {
      options.progress(static_cast<int64_t>(done), static_cast<int64_t>(all.size()));
    }
  }
  result.ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace regard
