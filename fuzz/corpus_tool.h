// The seeds of a fuzz target that are made, not found: written into a folder, or compared with it.
//   NAME_corpus FOLDER          writes them
//   NAME_corpus --check FOLDER  fails unless FOLDER holds exactly these bytes
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace regard {

using Seed = std::pair<std::string, std::string>;  // name, bytes

inline int corpus_tool(int count, char** arguments, const std::vector<Seed>& seeds,
                       const std::string& ending) {
  const bool check = count == 3 && std::string_view(arguments[1]) == "--check";
  if (!check && count != 2) {
    std::fprintf(stderr, "%s [--check] FOLDER\n", arguments[0]);
    return 2;
  }
  const std::filesystem::path folder = arguments[count - 1];
  if (!check) std::filesystem::create_directories(folder);
  int wrong = 0;
  for (const auto& [name, bytes] : seeds) {
    const std::filesystem::path path = folder / (name + ending);
    if (!check) {
      std::ofstream file(path, std::ios::binary);
      file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      if (file.flush()) continue;
      std::fprintf(stderr, "%s: cannot be written\n", path.c_str());
    } else {
      std::ifstream file(path, std::ios::binary);
      if (file && std::string((std::istreambuf_iterator<char>(file)), {}) == bytes) continue;
      std::printf("%s is missing or out of date: run %s %s\n", path.filename().c_str(),
                  arguments[0], folder.c_str());
    }
    ++wrong;
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace regard
