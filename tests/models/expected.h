// Expected: what transformers gave for a tiny checkpoint; make_checkpoints.py states the format.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace regard {

// What each of the two sequences was continued with.
struct ExpectedGreedy {
  std::vector<int32_t> prompt;
  std::vector<int32_t> ids;     // 64
  std::vector<double> margins;  // largest logit less the second largest, of each

  // So many first ids are told apart clearly enough to be asked for.
  std::size_t clear(double margin = 0.01) const {
    const auto close =
        std::find_if(margins.begin(), margins.end(), [&](double m) { return m < margin; });
    return static_cast<std::size_t>(close - margins.begin());
  }
};

struct ExpectedArray {
  std::vector<int64_t> shape;
  std::vector<float> numbers;

  // Entry i of the first axis.
  std::span<const float> operator[](int64_t i) const {
    const std::size_t size = numbers.size() / static_cast<std::size_t>(shape.at(0));
    return std::span(numbers).subspan(static_cast<std::size_t>(i) * size, size);
  }
};

struct Expected {
  using Ids = std::vector<int32_t>;

  std::filesystem::path folder;
  std::vector<Ids> sequences;          // of one batch
  std::vector<Ids> decoder_sequences;  // as many, of an encoder-decoder; else none
  std::vector<ExpectedGreedy> greedy;
  std::map<std::string, ExpectedArray> arrays;

  const ExpectedArray& array(const std::string& name) const { return arrays.at(name); }
};

inline Expected read_expected(const std::filesystem::path& folder) {
  const nlohmann::json facts = nlohmann::json::parse(std::ifstream(folder / "expected.json"));
  const auto split = [&](const char* ids, const char* lengths) {
    std::vector<Expected::Ids> sequences;
    if (!facts.contains(ids)) return sequences;
    auto next = facts[ids].begin();
    for (const int64_t length : facts[lengths]) {
      sequences.emplace_back();
      for (int64_t i = 0; i < length; ++i) sequences.back().push_back(*next++);
    }
    return sequences;
  };
  Expected expected{.folder = folder,
                    .sequences = split("ids", "lengths"),
                    .decoder_sequences = split("decoder_ids", "decoder_lengths"),
                    .greedy = {},
                    .arrays = {}};
  for (const auto& made : facts.value("greedy", nlohmann::json::array())) {
    expected.greedy.push_back({made["prompt"], made["ids"], made["margins"]});
  }
  std::ifstream file(folder / "expected.bin", std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  for (const auto& [name, place] : facts["arrays"].items()) {
    ExpectedArray array{place["shape"], {}};
    std::size_t count = 1;
    for (const int64_t extent : array.shape) count *= static_cast<std::size_t>(extent);
    const std::size_t offset = place["offset"];
    if (offset + count * sizeof(float) > bytes.size()) {
      ADD_FAILURE() << folder << "/expected.bin ends within " << name;
      break;
    }
    array.numbers.resize(count);
    std::copy_n(bytes.data() + offset, count * sizeof(float),
                reinterpret_cast<char*>(array.numbers.data()));
    expected.arrays.emplace(name, std::move(array));
  }
  return expected;
}

// The largest difference; NaN counts as infinite, and so do different sizes.
inline double largest_difference(std::span<const float> got, std::span<const float> wanted) {
  if (got.size() != wanted.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference =
        std::fabs(static_cast<double>(got[i]) - static_cast<double>(wanted[i]));
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

}  // namespace regard
