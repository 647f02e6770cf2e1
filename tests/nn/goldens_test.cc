// Whole models against PyTorch: the loss and the gradient of every leaf, of the cases that
// make_goldens.py wrote; and each packed as here against padded as there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "formats/safetensors.h"
#include "learning/losses.h"
#include "nn/transformer.h"
#include "tensor/tape.h"

namespace regard {
namespace {

using nn::Texts;

class Golden {
 public:
  explicit Golden(const char* name)
      : file_(Safetensors::open(std::string(REGARD_GOLDENS) + "/" + name + ".safetensors")) {}

  std::vector<float> numbers(const std::string& name) const {
    const TensorInfo& info = file_.get(name);
    EXPECT_EQ(info.type_name, "f32");
    std::vector<float> made(info.data.size() / sizeof(float));
    std::memcpy(made.data(), info.data.data(), info.data.size());
    return made;
  }
  template <class T>
  std::vector<T> whole(const std::string& name) const {
    const std::vector<float> floats = numbers(name);
    return {floats.begin(), floats.end()};
  }
  bool has(const std::string& name) const { return file_.has(name); }

  void fill(nn::Parameters& parameters) const {
    for (const nn::Parameter& one : parameters) {
      Tensor leaf = one.leaf;
      const std::vector<float> from = numbers("weight." + one.name);
      ASSERT_EQ(std::ssize(from), leaf.size()) << one.name;
      std::ranges::copy(from, leaf.writable_numbers<float>().begin());
    }
  }

 private:
  Safetensors file_;
};

double distance(std::span<const float> is, std::span<const float> wanted) {
  double off = 0, size = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    off += std::pow(double{is[i]} - wanted[i], 2);
    size += std::pow(double{wanted[i]}, 2);
  }
  return std::sqrt(off / size);
}

void expect_gradients(const Golden& golden, const nn::Parameters& parameters) {
  for (const nn::Parameter& one : parameters) {
    ASSERT_TRUE(one.leaf.gradient()) << one.name;
    const std::vector<float> wanted = golden.numbers("gradient." + one.name);
    const auto is = one.leaf.gradient().numbers<float>();
    // A bias of keys moves all scores of a row alike: its gradient is rounding alone.
    if (one.name.find("_k.bias") != std::string::npos) {
      for (const float x : is) EXPECT_NEAR(x, 0, 1e-6) << one.name;
      continue;
    }
    EXPECT_LT(distance(is, wanted), 1e-4) << one.name;
  }
}

// The texts as they are, or each in a place of `length` tokens.
struct Laid {
  Texts texts;
  std::vector<int32_t> ids, targets;
  std::vector<float> weights;
};

Laid lay(const Golden& golden, int64_t length) {
  const auto lengths = golden.whole<int64_t>("lengths");
  const auto ids = golden.whole<int32_t>("ids"), targets = golden.whole<int32_t>("targets");
  const auto weights = golden.numbers("weights");
  const Texts packed = Texts::packed(lengths);
  Laid made{length > 0 ? Texts::padded(lengths, length) : packed, {}, {}, {}};
  const auto tokens = static_cast<std::size_t>(made.texts.tokens());
  made.ids.resize(tokens);
  made.targets.resize(tokens, -1);
  made.weights.resize(tokens);
  for (std::size_t text = 0; text < lengths.size(); ++text) {
    const int64_t from = packed.segments[text].first_row, to = made.texts.segments[text].first_row;
    std::copy_n(ids.begin() + from, lengths[text], made.ids.begin() + to);
    std::copy_n(targets.begin() + from, lengths[text], made.targets.begin() + to);
    std::copy_n(weights.begin() + from, lengths[text], made.weights.begin() + to);
  }
  return made;
}

void expect_golden(const Golden& golden, const Laid& laid, nn::Parameters& parameters,
                   const Tensor& logits) {
  const Tensor loss = cross_entropy(logits, laid.targets, {.weights = laid.weights}).loss;
  const double wanted = golden.numbers("loss")[0];
  EXPECT_NEAR(loss.numbers<float>()[0], wanted, 1e-5 * wanted);
  parameters.clear_gradients();
  backward(loss);
  expect_gradients(golden, parameters);
}

const nn::TransformerConfig kDecoder{.vocabulary = 40,
                                     .width = 32,
                                     .layers = 2,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .inner = 48,
                                     .norm = nn::Norm::Kind::rms,
                                     .activation = Activation::silu,
                                     .gated = true,
                                     .bias = false,
                                     .tied = false,
                                     .positions = nn::Positions::rope};

TEST(Golden, ADecoderHasPyTorchsLossAndGradients) {
  const Golden golden("decoder");
  for (const bool checkpoint : {false, true}) {
    nn::TransformerConfig config = kDecoder;
    config.checkpoint = checkpoint;
    nn::Parameters parameters;
    const nn::Transformer model = nn::make_transformer(config, {&parameters});
    golden.fill(parameters);
    for (const int64_t length : {0, 14}) {  // packed, padded
      const Laid laid = lay(golden, length);
      const Tensor logits = model.logits(model.hidden(laid.ids, laid.texts));
      if (length == 0) {
        EXPECT_LT(distance(logits.numbers<float>(), golden.numbers("logits")), 1e-5);
      }
      expect_golden(golden, laid, parameters, logits);
    }
  }
}

TEST(Golden, AnEncoderDecoderHasPyTorchsLossAndGradients) {
  const Golden golden("encoder_decoder");
  nn::Parameters parameters;
  const nn::EncoderDecoder model =
      nn::make_encoder_decoder({.vocabulary = 30,
                                .width = 24,
                                .layers = 2,
                                .heads = 4,
                                .inner = 32,
                                .post_norm = true,
                                .activation = Activation::relu,
                                .positions = nn::Positions::sinusoidal},
                               {&parameters});
  golden.fill(parameters);
  const Texts sources = Texts::packed(golden.whole<int64_t>("source_lengths"));
  const auto source_ids = golden.whole<int32_t>("source_ids");
  for (const int64_t length : {0, 7}) {
    const Laid laid = lay(golden, length);
    const Tensor logits = model.logits(source_ids, sources, laid.ids, laid.texts);
    if (length == 0) {
      EXPECT_LT(distance(logits.numbers<float>(), golden.numbers("logits")), 1e-5);
    }
    expect_golden(golden, laid, parameters, logits);
  }
}

// What the comparison is worth: without documents in the mask the loss is another one.
TEST(Golden, TellsAModelWhoseTextsSeeEachOther) {
  const Golden golden("decoder");
  nn::Parameters parameters;
  const nn::Transformer model = nn::make_transformer(kDecoder, {&parameters});
  golden.fill(parameters);
  Laid laid = lay(golden, 0);
  laid.texts.segments = Texts::packed(std::vector<int64_t>{laid.texts.tokens()}).segments;
  const Tensor logits = model.logits(model.hidden(laid.ids, laid.texts));
  const Tensor loss = cross_entropy(logits, laid.targets, {.weights = laid.weights}).loss;
  EXPECT_GT(std::abs(loss.numbers<float>()[0] - golden.numbers("loss")[0]), 0.01);
}

}  // namespace
}  // namespace regard
