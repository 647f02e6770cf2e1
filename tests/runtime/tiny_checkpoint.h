// A tiny random model on disk, loaded as users load theirs, and helpers to run it.
#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "models/tiny_llama.h"
#include "regard/model.h"

namespace regard {

// The file lives as long as this.
class TinyFile {
 public:
  explicit TinyFile(const TinyLlama& tiny, const std::string& name = "tiny")
      : path_(tiny.save(name)) {}
  ~TinyFile() { std::filesystem::remove(path_); }
  TinyFile(const TinyFile&) = delete;
  TinyFile& operator=(const TinyFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

inline Model load_tiny(TinyLlama tiny = {}, int threads = 1) {
  const TinyFile file(tiny.make());
  return Model::load(file.path(), {.threads = threads});
}

inline std::vector<TokenId> random_ids(int64_t count, uint32_t seed, TokenId vocabulary = 257) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids(static_cast<std::size_t>(count));
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<uint32_t>(vocabulary));
  return ids;
}

}  // namespace regard
