#include "subwords/piece_models.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "base/check.h"
#include "pieces/unigram.h"
#include "pieces/word_pieces.h"
#include "unicode/utf8.h"

namespace regard::subwords {
namespace {

// Each byte of a text is looked at up to this often. Real pieces have some tens of bytes.
constexpr size_t kLongestPiece = 1024;

std::vector<pieces::Trie::Key> keys_of(const Vocabulary& vocabulary, std::span<const int32_t> ids) {
  std::vector<pieces::Trie::Key> keys;
  keys.reserve(ids.size());
  for (const int32_t id : ids) {
    const std::string_view text = vocabulary.text(id);
    if (text.size() > kLongestPiece)
      fail(ErrorKind::unreadable,
           "tokenizer: token {} has {} bytes, more than the {} that a piece may have", id,
           text.size(), kLongestPiece);
    if (!vocabulary.is_reserved(id) && unicode::first_invalid_utf8(text) < 0)
      keys.push_back({text, id});
  }
  return keys;
}

template <class Pieces>
class PieceModel final : public Model {
 public:
  explicit PieceModel(Pieces pieces) : pieces_(std::move(pieces)) {}

  void encode(std::string_view text, int64_t begin, int64_t end, Output& out) const override {
    thread_local std::vector<pieces::Piece> found;  // kept for its memory only
    found.clear();
    pieces_.encode(text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                   found);
    for (const pieces::Piece& piece : found)
      out.add(piece.id, begin + piece.begin, begin + piece.end);
    if (found.capacity() > kKept) std::vector<pieces::Piece>().swap(found);
  }

 private:
  static constexpr size_t kKept = 4096;
  Pieces pieces_;
};

std::vector<int32_t> byte_tokens(const Vocabulary& vocabulary) {
  std::vector<int32_t> ids(256, -1);
  for (int byte = 0; byte < 256; ++byte)
    if (const auto id = vocabulary.find(fmt::format("<0x{:02X}>", byte)))
      ids[static_cast<size_t>(byte)] = *id;
  return ids;
}

}  // namespace

std::unique_ptr<const Model> word_piece_model(const Vocabulary& vocabulary,
                                              std::span<const int32_t> ids,
                                              const WordPieceOptions& options) {
  return std::make_unique<PieceModel<pieces::WordPieces>>(
      pieces::WordPieces(keys_of(vocabulary, ids), {.prefix = options.prefix,
                                                    .unknown = options.unknown,
                                                    .longest_word = options.longest_word}));
}

std::unique_ptr<const Model> unigram_model(const Vocabulary& vocabulary, std::vector<double> scores,
                                           int32_t unknown, bool byte_fallback) {
  if (scores.size() > static_cast<size_t>(vocabulary.size()))
    fail(ErrorKind::unreadable, "tokenizer: {} scores for {} tokens", scores.size(),
         vocabulary.size());
  std::vector<int32_t> ids(scores.size());
  std::iota(ids.begin(), ids.end(), 0);
  return std::make_unique<PieceModel<pieces::Unigram>>(
      pieces::Unigram(keys_of(vocabulary, ids), std::move(scores),
                      {.unknown = unknown,
                       .bytes = byte_fallback ? byte_tokens(vocabulary) : std::vector<int32_t>()}));
}

}  // namespace regard::subwords
