// Programs from bytes: any expression is refused in one clean line, or it prints itself, is
// evaluated, bounded, differentiated, lowered and run on a tile, and all these agree.
//   - the interpreter gives on every target the bits that the operations, each rounded once, give;
//   - the interval of a program holds its value at every point of a tile;
//   - the derivative is the tangent of the chain rule worked out in numbers, and as an output of a
//     gradient program the same as run alone;
//   - an index outside its array is never read, and shows.
#include <algorithm>
#include <cstring>
#include <string>

#include "bytes.h"
#include "interpreter/program.h"
#include "program/gradient.h"
#include "program/lower.h"
#include "program_lane.h"
#include "program_steps.h"
#include "simd/target.h"

namespace regard {
namespace {

bool same_bits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0;
}

// A tile of scores somewhere.
struct Tile {
  int rows, keys;
  TilePlace place;
  std::vector<int32_t> head, query, row;
  std::vector<float> scores;

  explicit Tile(Bytes& bytes)
      : rows(1 + bytes.below(5)), keys(1 + bytes.below(40)), head(rows), query(rows), row(rows) {
    const int first_head = bytes.below(6), first_row = bytes.below(50),
              position = bytes.next() - 20;
    for (int r = 0; r < rows; ++r) {
      head[r] = first_head + r % 2;
      row[r] = first_row + r / 2;
      query[r] = row[r] + position;
    }
    place.batch = bytes.below(3);
    place.sequence = bytes.below(100);
    place.first_key = 16 * bytes.below(8);
    place.head = head.data();
    place.query = query.data();
    place.row = row.data();
    place.rows = rows;
    place.keys = keys;
    scores.resize(static_cast<std::size_t>(rows) * kTileKeys);
    uint32_t state = static_cast<uint32_t>(bytes.next()) + 1;
    const bool wild = bytes.chance(4);
    for (float& s : scores) {
      state = state * 1664525u + 1013904223u;
      s = static_cast<float>(static_cast<int32_t>(state) >> 16) / 8192.0f;
      if (wild && state % 29 == 0) s = state % 2 == 0 ? INFINITY : NAN;
      if (wild && state % 31 == 0) s *= 1e30f;
    }
  }
  Point point(int r, int j) const {
    return {.s = scores[static_cast<std::size_t>(r * kTileKeys + j)],
            .batch = place.batch,
            .head = head[r],
            .i = query[r],
            .j = place.first_key + j,
            .row = row[r],
            .sequence = place.sequence};
  }
  Ranges ranges() const {
    const auto span = [](const std::vector<int32_t>& x) {
      const auto [low, high] = std::minmax_element(x.begin(), x.end());
      return Span{*low, *high};
    };
    return {.batch = {place.batch, place.batch},
            .head = span(head),
            .i = span(query),
            .j = {place.first_key, place.first_key + keys - 1},
            .row = span(row),
            .sequence = {place.sequence, place.sequence}};
  }
};

struct Ran {
  std::vector<float> scores;
  std::vector<uint16_t> masks;
  std::vector<std::vector<float>> outputs;
  bool allowed(int r, int j) const {
    return (masks[static_cast<std::size_t>(r * kTilePanels + j / 16)] >> j % 16 & 1) != 0;
  }
};

// Every array has exactly the size that the interpreter may use.
Ran run_on(const TileProgram& program, const Tile& tile) {
  Ran ran{
      tile.scores, std::vector<uint16_t>(static_cast<std::size_t>(tile.rows) * kTilePanels), {}};
  std::vector<std::byte> scratch(static_cast<std::size_t>(tile_program_scratch(program)));
  std::vector<void*> places;
  for (const TileShape shape : program.prepared.outputs) {
    ran.outputs.emplace_back(static_cast<std::size_t>(tile_output(shape, tile.rows).size));
  }
  for (std::vector<float>& output : ran.outputs) places.push_back(output.data());
  run_tile_program(program, tile.place, ran.scores.data(), ran.masks.data(), scratch.data(),
                   places.data());
  return ran;
}

// On every target; all must give the same.
Ran run_everywhere(const TileProgram& program, const Tile& tile) {
  Ran first;
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    Ran ran = run_on(program, tile);
    if (!first.scores.empty()) {
      if (ran.masks != first.masks) complain("targets give different masks");
      for (int r = 0; r < tile.rows; ++r) {
        for (int j = 0; j < tile.keys; ++j) {
          const auto at = static_cast<std::size_t>(r * kTileKeys + j);
          if (!same_bits(ran.scores[at], first.scores[at])) complain("targets give other scores");
        }
      }
    }
    first = std::move(ran);
  }
  return first;
}

// Scores and masks of a tile against the operations one by one.
void check_tile(const Expr& score, const Expr& mask, const Tile& tile, const Ran& ran) {
  const Expr roots[] = {score.empty() ? Expr(program::score()) : to_real(score),
                        mask.empty() ? Expr(true) : mask};
  const program::Graph graph = program::flatten(roots);
  Evaluator exact_score(roots[0]), exact_mask(roots[1]);
  const Bounds score_bounds(roots[0]), mask_bounds(roots[1]);
  const Interval scores = score_bounds(tile.ranges()), masks = mask_bounds(tile.ranges());
  for (int r = 0; r < tile.rows; ++r) {
    for (int j = 0; j < tile.keys; ++j) {
      const Point point = tile.point(r, j);
      const std::vector<Lane> lanes = lanes_of(graph, point);
      const Lane &s = lanes[graph.roots[0]], &m = lanes[graph.roots[1]];
      const float found = ran.scores[static_cast<std::size_t>(r * kTileKeys + j)];
      const bool poisoned = s.poisoned || m.poisoned;
      if (poisoned ? !std::isnan(found)
                   : s.known && !same_bits(found, static_cast<float>(s.value))) {
        complain("a score is not what its operations give");
      }
      if (m.poisoned ? !ran.allowed(r, j) : m.known && ran.allowed(r, j) != (m.value != 0)) {
        complain("a mask is not what its operations give");
      }
      const double of_score = exact_score(point), of_mask = exact_mask(point);
      if (s.poisoned != (std::isnan(of_score) && s.poisoned) || m.poisoned != std::isnan(of_mask)) {
        complain("the evaluator does not see an index outside its array");
      }
      const auto hold = [](const Interval& in, double value) {
        return std::isnan(value) ? in.nan : in.lo <= value && value <= in.hi;
      };
      if (!hold(scores, of_score) || !hold(masks, of_mask)) complain("a value beyond its bounds");
      if (!hold(scores, found) && !m.poisoned) complain("an f32 score beyond its bounds");
      if ((s.poisoned && !scores.poison) || (m.poisoned && !masks.poison)) {
        complain("bounds do not see an index outside its array");
      }
      if (masks.always_true() && !ran.allowed(r, j)) complain("a key proved allowed is masked");
      if (masks.always_false() && ran.allowed(r, j)) complain("a key proved masked is allowed");
    }
  }
}

void check_derivative(const Expr& score, const Expr& mask, const Array& reals, const Tile& tile) {
  Expr slope;
  if (!computes([&] { slope = derivative(score); })) return;
  const program::Graph graph = program::flatten({&score, 1});
  Evaluator exact(slope);
  for (int j = 0; j < tile.keys; ++j) {
    const Point point = tile.point(0, j);
    const Tangent t = tangent_of(graph, point);
    const double found = exact(point);
    // Beyond these sizes the two may pass over the end of the numbers in different places.
    if (!(t.size < 1e100) || !(std::abs(t.value) < 1e100) || std::isnan(found)) continue;
    if (!(std::abs(found - t.along) <= 1e-9 * t.size + 1e-100)) {
      complain("a derivative is not the tangent: " + to_string(score));
    }
  }
  program::GradientProgram gradient;
  TileProgram alone;
  const bool fits = computes([&] {
    gradient = program::lower_gradient(score, mask, {&reals, 1});
    alone = lower(slope, {});
    prepare_tile_program(alone);
  });
  if (!fits) return;
  const Ran together = run_everywhere(gradient.program, tile),
            by_itself = run_everywhere(alone, tile);
  if (gradient.derivative < 0) return;
  const auto number = static_cast<std::size_t>(gradient.derivative);
  const TileOutput layout = tile_output(gradient.program.prepared.outputs[number], tile.rows);
  for (int r = 0; r < tile.rows; ++r) {
    for (int j = 0; j < tile.keys; ++j) {
      const float alone_here = by_itself.scores[static_cast<std::size_t>(r * kTileKeys + j)];
      const float here =
          together
              .outputs[number][static_cast<std::size_t>(r * layout.row_step + j * layout.key_step)];
      // An index outside its array makes the score NaN, whatever stands in the outputs.
      if (std::isnan(alone_here)) continue;
      if (!same_bits(here, alone_here)) complain("a derivative depends on what it is run with");
    }
  }
}

void run(Bytes bytes) {
  const Tile tile(bytes);
  StackMachine machine(bytes);
  for (int step = 0; step < 600 && !bytes.done(); ++step) machine.step();
  const Expr score = machine.newest(false), mask = machine.newest(true);
  for (const Expr& e : {score, mask}) {
    if (to_string(e).find('\n') != std::string::npos) complain("a program prints two lines");
  }
  TileProgram program;
  const bool fits = computes([&] {
    program = lower(score, mask);
    prepare_tile_program(program);
  });
  if (!fits) return;
  check_tile(score, mask, tile, run_everywhere(program, tile));
  if (!score.empty()) check_derivative(score, mask, machine.reals(), tile);
}

}  // namespace
}  // namespace regard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size <= 1024) regard::run(regard::Bytes(data, size));
  return 0;
}
