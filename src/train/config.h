// TrainConfig: everything that a training run depends on, as a TOML file says it. Every key has a
// type, a range and a default, and stands in one table (keys.cc) that reads, prints and explains
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "train/schedule.h"

namespace regard::train {

struct ModelConfig {
  std::string start;  // a model to go on from; empty: a new one of the sizes below
  std::string family = "llama";
  int64_t layers = 4;
  int64_t width = 128;
  int64_t heads = 4;
  int64_t kv_heads = 0;  // 0 = heads
  int64_t inner = 0;     // 0 = 4 · width, or of gated MLPs 8/3 · width in whole 32s
  int64_t context = 0;   // most tokens of a sequence; 0 = data.length
  bool tied = true;
  double deviation = 0.02;  // of initial matrices
  double dropout = 0, attention_dropout = 0;
};

struct DataConfig {
  std::vector<std::string> text;             // files
  std::vector<std::string> validation_text;  // files; else a share of text
  double validation = 0.1;
  std::string separator;  // what sets documents apart; empty: a file is one
  std::string tokenizer;  // bytes, or a file or folder that has one; empty: start's, or bytes
  std::string task;       // instead of text
  int64_t shortest = 1, longest = 10, symbols = 16, max_depth = 4;
  std::string loss = "all";
  bool boundary = true;
  std::vector<std::string> ignored;  // tokens that are no targets
  int64_t length = 64;
  bool packed = true;
};

struct RunConfig {
  int64_t steps = 1000;
  int64_t rows = 8;        // sequences of data.length in one pass
  int64_t accumulate = 1;  // passes in one step
  int64_t seed = 0;
  std::string precision = "f32";  // of matrices while they multiply; masters are f32
  bool recompute = false;         // blocks' inner results are computed again for the gradients
  double smoothing = 0;           // of labels
  int64_t eval_every = 100;
  int64_t eval_batches = 8;
  int64_t save_every = 0;  // 0 = with each evaluation
  int64_t keep = 2;        // checkpoints besides the best
  int64_t patience = 0;    // evaluations without a better loss before it stops; 0 = never
};

struct OptimiserConfig {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double decay = 0.1;
  bool decay_embeddings = false;
  double clip = 1;  // of the gradient's norm; 0 = none
};

struct TrainConfig {
  ModelConfig model;
  DataConfig data;
  RunConfig run;
  OptimiserConfig optimiser;
  Schedule schedule = {.steps = 0};

  // As a file would say it: every key, in the table's order.
  std::string to_toml() const;
};

// Throws Error: unreadable naming the file and, for TOML that is none, the line; for an unknown key
// the nearest, for a value its key, rule and number.
TrainConfig read_config(const std::filesystem::path& path);
TrainConfig parse_config(std::string_view text, const std::string& name);

// A table of all keys for people: key, type, range, default, meaning.
std::string explain_keys();

// The first key in which two configurations differ that must not change between a run and its
// resumption; empty = none does. Values of both in the text.
std::string first_difference(const TrainConfig& a, const TrainConfig& b);

}  // namespace regard::train
