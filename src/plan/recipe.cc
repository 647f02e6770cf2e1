#include "plan/recipe.h"

#include <cmath>

#include "base/check.h"
#include "program/linear.h"

namespace regard {
namespace {

void check_kinds(const AttentionOptions& options) {
  require(options.mask.empty() || options.mask.kind() == ValueKind::boolean,
          "attention: mask is a number, must be boolean");
  require(options.score.empty() || options.score.kind() != ValueKind::boolean,
          "attention: score is boolean, must be a number");
  require(options.weight.empty() || options.weight.kind() != ValueKind::boolean,
          "attention: weight is boolean, must be a number");
  require(options.threads >= 0 && options.threads <= 1024,
          "attention: threads ({}) is not in 0 .. 1024", options.threads);
}

bool finite(float x) { return x - x == 0; }

void check_normaliser(const Normaliser& normaliser, int64_t heads) {
  using Kind = Normaliser::Kind;
  require(finite(normaliser.bias), "attention: the sigmoid's bias ({}) is not a finite number",
          normaliser.bias);
  require(normaliser.temperature > 0 && finite(normaliser.temperature),
          "attention: temperature ({}) is not a positive number", normaliser.temperature);
  if (!normaliser.sinks) return;
  const Array& sinks = *normaliser.sinks;
  require(normaliser.kind == Kind::softmax, "attention: only softmax has sinks");
  require(sinks.type() == ElementType::f32 && sinks.rank() == 1,
          "attention: sinks {} must hold reals, one for each head", sinks.name());
  require(sinks.shape(0) == 1 || sinks.shape(0) == heads,
          "attention: {} has {} sinks for {} heads, must have 1 or {}", sinks.name(),
          sinks.shape(0), heads, heads);
}

// parameters: [.., sizes], the first axis heads where there is one more.
void check_parameters(const Similarity& similarity, const char* call, int64_t heads, int64_t dim,
                      int64_t dim_k) {
  const bool bilinear = similarity.kind == Similarity::Kind::bilinear;
  const int own = bilinear ? 2 : 1;
  require(similarity.parameters.has_value(), "attention: {} has no parameters", call);
  const Array& array = *similarity.parameters;
  require(array.type() == ElementType::f32 && (array.rank() == own || array.rank() == own + 1),
          "attention: {} of {} must hold reals and have rank {} or {}", array.name(), call, own,
          own + 1);
  require(array.rank() == own || array.shape(0) == heads,
          "attention: {} of {} is for {} heads, q has {}", array.name(), call, array.shape(0),
          heads);
  const int last = array.rank() - 1;
  require(array.shape(last) == dim_k, "attention: {} of {} has {} numbers a row, k has dim {}",
          array.name(), call, array.shape(last), dim_k);
  if (!bilinear) return;
  require(array.shape(last - 1) == dim, "attention: {} of {} has {} rows, q has dim {}",
          array.name(), call, array.shape(last - 1), dim);
}

double inverse_root(int64_t dim) {
  return dim == 0 ? 1.0 : 1.0 / std::sqrt(static_cast<double>(dim));
}

// What the scale is unless the caller says otherwise.
float default_scale(Similarity::Kind kind, int64_t dim, int64_t dim_k) {
  switch (kind) {
    case Similarity::Kind::dot:
      return static_cast<float>(inverse_root(dim));
    case Similarity::Kind::bilinear:
      return static_cast<float>(inverse_root(dim_k));
    case Similarity::Kind::negative_distance:
      return static_cast<float>(0.5 * inverse_root(dim));
    default:
      return 1.0f;
  }
}

}  // namespace

Recipe make_recipe(const AttentionOptions& options, int64_t heads, int64_t dim, int64_t dim_k) {
  using Kind = Similarity::Kind;
  const Similarity& similarity = options.similarity;
  check_kinds(options);
  check_normaliser(options.normaliser, heads);
  require(similarity.kind == Kind::bilinear || dim_k == dim, "attention: k has dim {}, q has {}",
          dim_k, dim);
  if (similarity.kind == Kind::bilinear) {
    check_parameters(similarity, "bilinear", heads, dim, dim_k);
  } else if (similarity.kind == Kind::additive) {
    check_parameters(similarity, "additive", heads, dim, dim_k);
  }

  Recipe recipe;
  recipe.options = options;
  recipe.scale = options.scale.value_or(default_scale(similarity.kind, dim, dim_k));
  require(finite(recipe.scale), "attention: scale ({}) is not a finite number", recipe.scale);
  program::SplitMask split = program::split_mask(options.mask);
  recipe.band = split.band;
  recipe.mask = std::move(split.rest);
  recipe.score = options.score;
  const Normaliser& normaliser = options.normaliser;
  const auto score = [&] { return recipe.score.empty() ? program::score() : recipe.score; };
  if (normaliser.kind == Normaliser::Kind::sigmoid && normaliser.bias != 0) {
    recipe.score = score() + normaliser.bias;
  }
  if (normaliser.kind == Normaliser::Kind::gumbel) {
    recipe.score = score() + program::gumbel_noise(normaliser.seed);
    if (normaliser.temperature != 1) recipe.score = recipe.score / normaliser.temperature;
  }
  recipe.weight = options.weight;
  recipe.weight_is_linear = options.weight.empty() || program::is_linear_weight(options.weight);
  return recipe;
}

}  // namespace regard
