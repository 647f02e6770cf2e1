// Tokenizing and decoding with a real vocabulary, in bytes of text a second on one thread.
//
//   cmake --build build/release --target text_bench && build/release/bench/text_bench MODEL.gguf
//   TEXT
//
// A tokenizer.json will do in place of the model, too; bench/tokenizers_peer.py runs both
// this and the `tokenizers` package. TEXT is a file of a few megabytes; the `tokenizers` package on
// the same file is the peer, with the tokenizer that tests/text/make_goldens.py builds. Measured
// and left out: nothing yet asks for a cache of words beside the vocabulary's own answer to "does
// this word merge to itself": the merges of all other words are a third of the time.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "formats/gguf.h"
#include "regard/error.h"
#include "regard/tokenizer.h"

namespace regard {
namespace {

TokenizerSpec read_spec(const GgufFile& file) {
  TokenizerSpec spec;
  spec.model = file.get_string("tokenizer.ggml.model");
  spec.pre = file.get_string("tokenizer.ggml.pre");
  for (const std::string_view token : file.get_strings("tokenizer.ggml.tokens"))
    spec.tokens.emplace_back(token);
  for (const int32_t type : file.get_i32s("tokenizer.ggml.token_type"))
    spec.types.push_back(static_cast<TokenType>(type));
  for (const std::string_view merge : file.get_strings("tokenizer.ggml.merges"))
    spec.merges.emplace_back(merge);
  spec.add_bos = false;
  return spec;
}

void rate(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Tokenizer load(const std::string& path) {
  if (path.ends_with(".json")) return Tokenizer::from_json(read_file(path));
  return Tokenizer(read_spec(GgufFile::open(path)));
}

void register_all(const std::string& path, const std::string& text) {
  const Tokenizer tokenizer = load(path);
  const std::vector<int32_t> ids = tokenizer.encode(text);
  benchmark::RegisterBenchmark("load", [path](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(load(path));
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("encode", [=](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode(text));
    rate(state, text.size());
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("encode_with_ranges", [=](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode_with_ranges(text));
    rate(state, text.size());
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("decode", [=](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(tokenizer.decode(ids));
    rate(state, text.size());
  })->Unit(benchmark::kMillisecond);
  for (const char c : {'a', ' ', '='}) {
    const std::string run(1 << 20, c);
    benchmark::RegisterBenchmark(("encode a run of '" + std::string(1, c) + "'").c_str(),
                                 [=](benchmark::State& state) {
                                   for (auto _ : state)
                                     benchmark::DoNotOptimize(tokenizer.encode(run));
                                   rate(state, run.size());
                                 })
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 3) {
    std::fprintf(stderr, "usage: text_bench MODEL.gguf|tokenizer.json TEXT\n");
    return 2;
  }
  try {
    regard::register_all(argv[1], regard::read_file(argv[2]));
    benchmark::RunSpecifiedBenchmarks();
  } catch (const regard::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
