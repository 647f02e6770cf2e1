#include "pieces/unigram.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "base/check.h"
#include "unicode/utf8.h"

namespace regard::pieces {

struct Unigram::Arrival {
  double score;
  int32_t from;  // -1: not reached yet
  int32_t id;
};

Unigram::Unigram(std::vector<Trie::Key> keys, std::vector<double> scores, const Options& options)
    : trie_(std::move(keys)),
      scores_(std::move(scores)),
      unknown_(options.unknown),
      bytes_(options.bytes) {
  // What SentencePiece takes from the lowest score for a character that no token covers.
  constexpr double kPenalty = 10;
  double lowest = 0;
  for (size_t i = 0; i < scores_.size(); ++i) {
    if (!std::isfinite(scores_[i]))
      fail(ErrorKind::unreadable, "tokenizer: the score of token {} is {}", i, scores_[i]);
    lowest = i == 0 ? scores_[i] : std::min(lowest, scores_[i]);
  }
  unknown_score_ = lowest - kPenalty;
}

void Unigram::search(std::string_view word, Arrival* arrivals) const {
  const auto size = static_cast<int32_t>(word.size());
  arrivals[0] = {0, 0, 0};
  for (int32_t i = 1; i <= size; ++i) arrivals[i].from = -1;
  for (int32_t begin = 0; begin < size;) {
    const double score = arrivals[begin].score;
    const auto offer = [&](int32_t end, int32_t id, double more) {
      Arrival& arrival = arrivals[end];
      if (arrival.from < 0 || score + more > arrival.score) arrival = {score + more, begin, id};
    };
    const char* next = word.data() + begin;
    unicode::read_character(next);
    const auto behind = static_cast<int32_t>(next - word.data());
    bool covered = false;  // is the character a token?
    Trie::Node node = Trie::kRoot;
    for (int32_t at = begin; at < size && trie_.step(node, word[static_cast<size_t>(at)]); ++at) {
      const int32_t id = trie_.value(node);
      if (id == Trie::kNone) continue;
      offer(at + 1, id, scores_[static_cast<size_t>(id)]);
      covered |= at + 1 == behind;
    }
    if (!covered) offer(behind, unknown_, unknown_score_);
    begin = behind;
  }
}

void Unigram::encode(std::string_view word, std::vector<Piece>& out) const {
  constexpr size_t kShort = 255;
  Arrival some[kShort + 1];
  std::unique_ptr<Arrival[]> many;
  Arrival* arrivals = some;
  if (word.size() > kShort) {
    many = std::make_unique_for_overwrite<Arrival[]>(word.size() + 1);
    arrivals = many.get();
  }
  search(word, arrivals);

  const size_t first = out.size();
  for (auto end = static_cast<int32_t>(word.size()); end > 0; end = arrivals[end].from) {
    const Arrival& arrival = arrivals[end];
    if (arrival.id == unknown_ && out.size() > first && out.back().id == unknown_)
      out.back().begin = arrival.from;  // one stretch
    else
      out.push_back({arrival.id, arrival.from, end});
  }
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  const auto is_unknown = [&](const Piece& piece) { return piece.id == unknown_; };
  const auto from = out.begin() + static_cast<std::ptrdiff_t>(first);
  if (std::none_of(from, out.end(), is_unknown)) return;
  const std::vector<Piece> pieces(from, out.end());
  out.resize(first);
  for (const Piece& piece : pieces) {
    if (is_unknown(piece))
      add_unknown(word, piece.begin, piece.end, out);
    else
      out.push_back(piece);
  }
}

void Unigram::add_unknown(std::string_view word, int32_t begin, int32_t end,
                          std::vector<Piece>& out) const {
  const std::string_view stretch =
      word.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  // Where scores are positive, single characters may have won over a token of just this text.
  Trie::Node node = Trie::kRoot;
  if (trie_.walk(node, stretch) && trie_.value(node) != Trie::kNone)
    out.push_back({trie_.value(node), begin, end});
  else if (bytes_.empty() || std::any_of(stretch.begin(), stretch.end(), [&](char byte) {
             return bytes_[static_cast<unsigned char>(byte)] < 0;
           }))
    out.push_back({unknown_, begin, end});
  else
    for (const char byte : stretch)
      out.push_back({bytes_[static_cast<unsigned char>(byte)], begin, end});
}

}  // namespace regard::pieces
