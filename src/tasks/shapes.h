// The task `shapes` as images: for models that see patches in place of tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "tasks/tasks.h"

namespace regard::tasks {

inline constexpr int64_t kShapeSide = 12;
inline constexpr int32_t kShapeKinds = 4;  // square, disc, cross, triangle

struct ShapeImage {
  std::vector<float> points;  // [kShapeSide, kShapeSide], row by row: 1 is dark, 0 light
  int32_t kind = 0;
};

// Of an example of the task `shapes`.
ShapeImage as_image(const Example& example);

}  // namespace regard::tasks
