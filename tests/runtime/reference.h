// The stored cases of tests/models/make_checkpoints.py: a tiny checkpoint and what transformers
// makes of it in f32.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "json/json.h"
#include "regard/model.h"

namespace regard {

inline std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + " cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Reference {
  struct Greedy {
    std::vector<TokenId> prompt, ids;
    std::vector<double> margins;
  };

  explicit Reference(const std::string& name)
      : folder(std::filesystem::path(REGARD_REFERENCE_CASES) / name),
        facts(parse_json(contents(folder / "expected.json"), name)),
        numbers(contents(folder / "expected.bin")) {
    sequences = split("ids", "lengths");
    if (facts.contains("decoder_ids")) targets = split("decoder_ids", "decoder_lengths");
    if (!facts.contains("greedy")) return;
    for (const auto& one : facts.at("greedy")) {
      greedy.push_back({one.at("prompt"), one.at("ids"), one.at("margins")});
    }
  }

  std::vector<float> array(const std::string& name) const {
    const auto& place = facts.at("arrays").at(name);
    std::size_t count = 1;
    for (const std::size_t extent : place.at("shape")) count *= extent;
    std::vector<float> made(count);
    const auto offset = place.at("offset").get<std::size_t>();
    if (offset + count * sizeof(float) > numbers.size()) throw std::runtime_error("too short");
    std::memcpy(made.data(), numbers.data() + offset, count * sizeof(float));
    return made;
  }

  // Of 16 tokens that a model writes behind every sequence, in the order in which it gives them.
  std::vector<float> logits_of_answers(const Model& model) const {
    std::vector<float> seen;
    GenerateOptions options{.tokens = 16, .ignore_eos = true};
    options.run.logits = [&](int64_t, int64_t, std::span<const float> logits) {
      seen.insert(seen.end(), logits.begin(), logits.end());
    };
    model.generate(sequences, options);
    return seen;
  }

  std::vector<std::vector<TokenId>> split(const char* all, const char* lengths) const {
    const auto ids = facts.at(all).get<std::vector<TokenId>>();
    std::vector<std::vector<TokenId>> parts;
    auto next = ids.begin();
    for (const int64_t length : facts.at(lengths)) {
      parts.emplace_back(next, next + length);
      next += length;
    }
    return parts;
  }

  std::filesystem::path folder;
  nlohmann::json facts;
  std::string numbers;
  std::vector<std::vector<TokenId>> sequences;
  std::vector<std::vector<TokenId>> targets;  // of an encoder-decoder: what its decoder is given
  std::vector<Greedy> greedy;
};

}  // namespace regard
