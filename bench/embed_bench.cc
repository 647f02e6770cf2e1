// How long an encoder takes for a file of token ids, a text a line: the part of bench/compare_embed
// that is regard's. Measures once for each line on standard input, so that peers can be timed in
// turns, and prints milliseconds and the first number of the result.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "regard/model.h"

int main(int count, char** words) {
  if (count != 4) {
    std::fputs("usage: embed_bench MODEL IDS THREADS < a line for each measurement\n", stderr);
    return 2;
  }
  std::vector<std::vector<regard::TokenId>> texts;
  std::ifstream file(words[2]);
  for (std::string line; std::getline(file, line);) {
    std::istringstream numbers(line);
    texts.emplace_back();
    for (regard::TokenId id; numbers >> id;) texts.back().push_back(id);
  }
  try {
    const auto model = regard::Model::load(words[1], {.threads = std::stoi(words[3])});
    for (std::string line; std::getline(std::cin, line);) {
      const auto start = std::chrono::steady_clock::now();
      const regard::Embeddings result = model.embed(texts);
      const double ms =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count();
      std::printf("%.3f %.9g\n", ms, static_cast<double>(result.numbers.at(0)));
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "embed_bench: %s\n", error.what());
    return 1;
  }
}
