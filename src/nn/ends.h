// The two ends of a model: ids or images become rows, rows become logits.
#pragma once

#include <optional>
#include <span>
#include <utility>

#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/positions.h"

namespace regard::nn {

// norm(scale · tokens(id) + positions(position)); what a family does not have is left out.
struct InputEmbedding {
  Embedding tokens = {};
  Embedding positions = {};  // learned
  std::optional<SinusoidalPositions> sinusoids = {};
  float scale = 1;
  Norm norm = {};
  float dropout = 0;  // of the result, in training: the caller's to do, who has the step

  Tensor operator()(std::span<const int32_t> ids, std::span<const int32_t> at) const {
    Tensor x = tokens(ids);
    if (scale != 1) x = regard::scale(std::move(x), scale);
    return place(std::move(x), at);
  }
  // What is embedded already, such as patches: norm(x + positions(position)).
  Tensor place(Tensor x, std::span<const int32_t> at) const {
    if (positions) x = positions(at) + std::move(x);
    if (sinusoids) x = (*sinusoids)(at, x.dtype()) + std::move(x);
    return norm(std::move(x));
  }
};

// Images [n, height, width, channels] as rows of text: each square of patch · patch points is one
// token, row by row. An Image is Worth 16x16 Words (Dosovitskiy et al. 2021), eq. 1.
struct PatchEmbedding {
  int64_t patch = 1;
  Linear project = {};  // [width of the model, patch · patch · channels]

  int64_t tokens(const Tensor& images) const {
    return images.shape(1) / patch * (images.shape(2) / patch);  // of each image
  }
  // -> [n · tokens, width of the model]
  Tensor operator()(const Tensor& images) const {
    require(images.rank() == 4 && images.shape(1) % patch == 0 && images.shape(2) % patch == 0,
            "patches: images {} are not [n, height, width, channels] with sides of whole patches "
            "of {}",
            images, patch);
    const int64_t down = images.shape(0) * images.shape(1) / patch;  // rows of patches, all images
    const int64_t across = images.shape(2) / patch, line = patch * images.shape(3);
    const Tensor squares = permute(images.reshape({down, patch, across, line}), {0, 2, 1, 3});
    return project(squares.reshape({down * across, patch * line}));
  }
};

// cap(matrix(norm(x)))
struct Head {
  Norm norm = {};
  Linear matrix = {};
  float soft_cap = 0;  // of the logits; 0 = none
  float factor = 1;    // of the norm's gain: where that learns, for else it is in its numbers

  Tensor operator()(const Tensor& x) const {
    Tensor logits = matrix(factor == 1 ? norm(x) : norm.times(factor)(x));
    return soft_cap > 0 ? softcap(std::move(logits), soft_cap) : logits;
  }
};

}  // namespace regard::nn
