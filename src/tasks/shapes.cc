// Shapes: small pictures of one of four figures, anywhere and of any size, with a little noise.
#include "tasks/shapes.h"

#include <array>
#include <cstdlib>

#include "tasks/draw.h"

namespace regard::tasks {
namespace {

constexpr Id kLight = kFirstSymbol, kDark = kFirstSymbol + 1, kFirstKind = kFirstSymbol + 2;
constexpr double kNoise = 0.01;  // share of points that are turned over

std::vector<std::string> vocabulary(const TaskOptions&) {
  return {".", "#", "square", "disc", "cross", "triangle"};
}

// Does a figure of that radius cover the point (dx, dy) from its middle, dy downwards?
bool covers(int64_t kind, int64_t dx, int64_t dy, int64_t radius) {
  const int64_t x = std::abs(dx), y = std::abs(dy);
  if (x > radius || y > radius) return false;
  switch (kind) {
    case 0:
      return true;
    case 1:
      return x * x + y * y <= radius * radius + radius / 2;
    case 2:
      return x <= radius / 3 || y <= radius / 3;
    default:
      return 2 * x <= dy + radius;
  }
}

Example shapes(const Task&, uint64_t stream) {
  Draw draw(stream);
  const int64_t kind = draw.between(0, 3), radius = draw.between(3, 5);
  const int64_t column = draw.between(radius, kShapeSide - 1 - radius);
  const int64_t row = draw.between(radius, kShapeSide - 1 - radius);
  Example made;
  for (int64_t y = 0; y < kShapeSide; ++y) {
    for (int64_t x = 0; x < kShapeSide; ++x) {
      const bool dark = covers(kind, x - column, y - row, radius) != draw.coin(kNoise);
      made.source.push_back(dark ? kDark : kLight);
    }
  }
  made.target = {static_cast<Id>(kFirstKind + kind)};
  return made;
}

}  // namespace

const Maker kShapes{"shapes", vocabulary, shapes};

ShapeImage as_image(const Example& example) {
  ShapeImage made;
  for (const Id id : example.source) made.points.push_back(id == kDark ? 1.0f : 0.0f);
  made.kind = example.target.at(0) - kFirstKind;
  return made;
}

}  // namespace regard::tasks
