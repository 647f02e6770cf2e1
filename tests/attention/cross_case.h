// A case of the cross: one choice on each axis (mask, score program, normaliser, ...) and a seed.
// It prints as one line and is made again from that line: "1.0.4. ... :17".
#pragma once

#include <array>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "reference/laid_out.h"
#include "reference/menu.h"

namespace regard::testing {

enum class Axis : uint8_t {
  mask,
  score,
  normaliser,
  weight,
  similarity,
  dtype,
  layout,
  form,
  size,
  heads,
  dims,
  extras,
};
constexpr std::size_t kAxes = 12;

enum class Form : uint8_t { single, batch, ragged, decode, paged, paged_decode };

struct DTypes {
  const char* name;
  DType q, k, v, out;
};
inline constexpr std::array<DTypes, 5> kDTypes = {{
    {"f32", DType::f32, DType::f32, DType::f32, DType::f32},
    {"f16", DType::f16, DType::f16, DType::f16, DType::f16},
    {"bf16", DType::bf16, DType::bf16, DType::bf16, DType::bf16},
    {"mixed", DType::f32, DType::bf16, DType::f16, DType::f32},
    {"f64", DType::f64, DType::f64, DType::f64, DType::f64},  // in pages: f32
}};

struct SizeRange {
  const char* name;
  int64_t least_rows, most_rows, least_keys, most_keys;
};
inline constexpr std::array<SizeRange, 7> kSizes = {{
    {"tiny", 1, 5, 1, 9},
    {"small", 2, 9, 14, 35},
    {"tile", 1, 5, 126, 131},
    {"chunk", 1, 2, 509, 516},
    {"rows", 9, 18, 1, 8},
    {"no keys", 1, 3, 0, 0},
    {"no rows", 0, 0, 1, 9},
}};

struct HeadCounts {
  const char* name;
  int64_t heads, kv_heads;
};
inline constexpr std::array<HeadCounts, 5> kHeads = {
    {{"1/1", 1, 1}, {"2/2", 2, 2}, {"4/2", 4, 2}, {"3/1", 3, 1}, {"8/1", 8, 1}}};

struct Dims {
  const char* name;
  int64_t dim, dim_v;
};
inline constexpr std::array<Dims, 7> kDims = {{{"1/1", 1, 1},
                                               {"3/5", 3, 5},
                                               {"8/8", 8, 8},
                                               {"16/16", 16, 16},
                                               {"20/33", 20, 33},
                                               {"33/20", 33, 20},
                                               {"64/64", 64, 64}}};

// The names of the choices of every axis.
inline const std::array<std::vector<std::string>, kAxes>& choices() {
  static const auto all = [] {
    std::array<std::vector<std::string>, kAxes> names;
    const auto add = [&](Axis axis, const auto& list) {
      for (const auto& entry : list) names[static_cast<std::size_t>(axis)].push_back(entry.name);
    };
    add(Axis::mask, mask_menu());
    add(Axis::score, score_menu());
    add(Axis::normaliser, normaliser_menu());
    add(Axis::weight, weight_menu());
    add(Axis::similarity, similarity_menu());
    add(Axis::dtype, kDTypes);
    add(Axis::size, kSizes);
    add(Axis::heads, kHeads);
    add(Axis::dims, kDims);
    names[static_cast<std::size_t>(Axis::layout)] = {"dense",      "head-first", "packed",
                                                     "transposed", "reversed",   "broadcast"};
    names[static_cast<std::size_t>(Axis::form)] = {"single", "batch", "ragged",
                                                   "decode", "paged", "paged decode"};
    names[static_cast<std::size_t>(Axis::extras)] = {"no extras", "lse", "streams", "matrices"};
    return names;
  }();
  return all;
}

struct Case {
  std::array<int, kAxes> choice{};
  uint64_t seed = 0;

  int at(Axis axis) const { return choice[static_cast<std::size_t>(axis)]; }
  Form form() const { return static_cast<Form>(at(Axis::form)); }
  bool is_paged() const { return form() == Form::paged || form() == Form::paged_decode; }
};

inline std::string key_of(const Case& c) {
  std::string text;
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    text += (axis == 0 ? "" : ".") + std::to_string(c.choice[axis]);
  }
  return text + ":" + std::to_string(c.seed);
}

// "1.0.4.0.0.0.2.1.3.1.2.1:17 (causal, none, ...)"
inline std::string describe(const Case& c) {
  std::string text = key_of(c);
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    text += (axis == 0 ? " (" : ", ") + choices()[axis][static_cast<std::size_t>(c.choice[axis])];
  }
  return text + ")";
}

// What REGARD_CASE names, to run that case alone; the inverse of key_of().
inline std::vector<Case> case_of_environment() {
  const char* const text = std::getenv("REGARD_CASE");
  if (text == nullptr) return {};
  std::istringstream in(text);
  Case c;
  char separator = 0;
  for (int& choice : c.choice) in >> choice >> separator;
  in >> c.seed;
  return {c};
}

inline Case random_case(Random& random) {
  Case c;
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    c.choice[axis] = static_cast<int>(random.below(static_cast<int64_t>(choices()[axis].size())));
  }
  // Few large ones, few empty ones.
  int& size = c.choice[static_cast<std::size_t>(Axis::size)];
  if (size >= 2 && !random.one_in(4)) size = static_cast<int>(random.below(2));
  c.seed = random.next() % 1000000;
  return c;
}

// A set of cases in which every two choices of different axes occur together: greedily, each case
// taking the choices that cover most pairs not yet covered.
inline std::vector<Case> covering_cases(uint64_t seed) {
  const auto& names = choices();
  std::array<std::size_t, kAxes + 1> first{};  // of an axis among all choices
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    first[axis + 1] = first[axis] + names[axis].size();
  }
  const std::size_t total = first[kAxes];
  std::vector<char> covered(total * total);
  const auto pair = [&](std::size_t a, int choice_a, std::size_t b, int choice_b) -> char& {
    const std::size_t x = first[a] + static_cast<std::size_t>(choice_a);
    const std::size_t y = first[b] + static_cast<std::size_t>(choice_b);
    return covered[std::min(x, y) * total + std::max(x, y)];
  };
  Random random(seed);
  std::vector<Case> cases;
  for (std::size_t a = 0; a < kAxes; ++a) {
    for (std::size_t b = a + 1; b < kAxes; ++b) {
      for (int of_a = 0; of_a < static_cast<int>(names[a].size()); ++of_a) {
        for (int of_b = 0; of_b < static_cast<int>(names[b].size()); ++of_b) {
          if (pair(a, of_a, b, of_b) != 0) continue;
          Case c = random_case(random);
          std::vector<std::size_t> fixed{a, b};
          c.choice[a] = of_a;
          c.choice[b] = of_b;
          for (std::size_t axis = 0; axis < kAxes; ++axis) {
            if (axis == a || axis == b) continue;
            const auto count = static_cast<int>(names[axis].size());
            const auto start = static_cast<int>(random.below(count));
            int best = -1;
            for (int n = 0; n < count; ++n) {
              const int option = (start + n) % count;
              int fresh = 0;
              for (const std::size_t other : fixed) {
                fresh += pair(axis, option, other, c.choice[other]) == 0 ? 1 : 0;
              }
              if (fresh <= best) continue;
              best = fresh;
              c.choice[axis] = option;
            }
            fixed.push_back(axis);
          }
          for (std::size_t x = 0; x < kAxes; ++x) {
            for (std::size_t y = x + 1; y < kAxes; ++y) pair(x, c.choice[x], y, c.choice[y]) = 1;
          }
          cases.push_back(c);
        }
      }
    }
  }
  return cases;
}

}  // namespace regard::testing
