// TextSource: batches of windows of documents, in another order in each epoch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/documents.h"

namespace regard::data {

struct TextOptions {
  Filling filling = {};
  uint64_t seed = 1;
  double held_out = 0.1;  // the last share of the tokens, where no files of its own are given
  std::vector<Id> ignored = {};  // targets that do not count
  std::string name = "data";     // in messages
};

class TextSource final : public Source {
 public:
  // own: documents that are held out. Throws Error(unreadable) naming the numbers where there are
  // fewer tokens than one text of `length` needs, and where no target counts.
  TextSource(std::vector<Document> documents, std::vector<Document> own, int64_t vocabulary,
             const TextOptions& options);

  int64_t vocabulary() const noexcept override { return vocabulary_; }
  Batch next(Cursor& cursor) const override;
  std::vector<Batch> held_out(int64_t most) const override;

  int64_t tokens() const noexcept { return tokens_; }  // trained on

 private:
  // Targets [first + 1, first + length] of a document, foreseen from the tokens before them.
  struct Piece {
    uint32_t document;
    int64_t first, length;
  };
  std::vector<Piece> cut(std::span<const Document> documents, int64_t shift) const;
  void add(const Document& document, const Piece& piece, class Filler& to) const;
  struct Epoch {
    uint64_t number;
    std::vector<Piece> pieces;  // in their order
  };
  const Epoch& epoch(uint64_t number) const;

  std::vector<Document> documents_, held_out_;
  int64_t vocabulary_, tokens_ = 0;
  TextOptions options_;
  mutable std::optional<Epoch> epoch_;  // the one that is being read
};

}  // namespace regard::data
