#include "data/text_source.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "data/filler.h"
#include "data/order.h"

namespace regard::data {
namespace {

constexpr std::size_t kMostPieces = std::size_t{1} << 31;

int64_t tokens_in(std::span<const Document> documents) {
  int64_t sum = 0;
  for (const Document& one : documents) sum += std::ssize(one.ids);
  return sum;
}

// The last `share` of all tokens become documents of their own, from whole ones where they can.
std::vector<Document> split_off(std::vector<Document>& documents, double share) {
  auto left = static_cast<int64_t>(share * static_cast<double>(tokens_in(documents)));
  std::vector<Document> made;
  while (left > 0 && !documents.empty()) {
    Document& last = documents.back();
    const int64_t size = std::ssize(last.ids);
    if (size <= left) {
      made.push_back(std::move(last));
      documents.pop_back();
    } else if (made.empty()) {
      const auto at = static_cast<std::ptrdiff_t>(size - left);
      made.push_back({{last.ids.begin() + at, last.ids.end()},
                      {last.weights.begin() + at, last.weights.end()},
                      last.ended});
      last.ids.resize(static_cast<std::size_t>(at));
      last.weights.resize(static_cast<std::size_t>(at));
      last.ended = false;
    }
    left -= size;
  }
  std::ranges::reverse(made);
  return made;
}

}  // namespace

TextSource::TextSource(std::vector<Document> documents, std::vector<Document> own,
                       int64_t vocabulary, const TextOptions& options)
    : documents_(std::move(documents)), vocabulary_(vocabulary), options_(options) {
  held_out_ = own.empty() ? split_off(documents_, options.held_out) : std::move(own);
  tokens_ = tokens_in(documents_);
  const auto pieces = cut(documents_, 0);
  int64_t longest = 0;
  for (const Document& one : documents_) longest = std::max(longest, std::ssize(one.ids) - 1);
  if (documents_.size() == 1 && longest < options.filling.length) {
    fail(ErrorKind::unreadable,
         "{}: {} tokens are left to train on, fewer than one sequence needs ({} and one behind "
         "it); give more text or a smaller data.length",
         options.name, tokens_, options.filling.length);
  }
  if (pieces.empty()) {
    fail(ErrorKind::unreadable, "{}: there is no text to train on", options.name);
  }
  const bool counts = std::ranges::any_of(documents_, [&](const Document& one) {
    for (std::size_t i = 1; i < one.ids.size(); ++i) {
      if (one.weights[i] > 0 && !std::ranges::count(options_.ignored, one.ids[i])) return true;
    }
    return false;
  });
  if (!counts) fail(ErrorKind::unreadable, "{}: no token of it counts", options.name);
}

std::vector<TextSource::Piece> TextSource::cut(std::span<const Document> documents,
                                               int64_t shift) const {
  const int64_t length = options_.filling.length;
  std::vector<Piece> made;
  for (std::size_t d = 0; d < documents.size(); ++d) {
    const int64_t targets = std::ssize(documents[d].ids) - 1;
    int64_t first = 0;
    // Of a document that is cut anyway the cuts lie elsewhere in each epoch.
    if (targets > length && shift > 0) {
      made.push_back({static_cast<uint32_t>(d), 0, shift});
      first = shift;
    }
    for (; first < targets; first += length) {
      made.push_back({static_cast<uint32_t>(d), first, std::min(length, targets - first)});
    }
    require(made.size() < kMostPieces, "{}: more than {} pieces of text", options_.name,
            kMostPieces);
  }
  return made;
}

const TextSource::Epoch& TextSource::epoch(uint64_t number) const {
  if (epoch_ && epoch_->number == number) return *epoch_;
  const std::vector<Piece> all =
      cut(documents_, shift(options_.filling.length, options_.seed, number));
  Epoch made{number, {}};
  made.pieces.reserve(all.size());
  for (const uint32_t i : shuffled(all.size(), options_.seed, number)) {
    made.pieces.push_back(all[i]);
  }
  return epoch_.emplace(std::move(made));
}

void TextSource::add(const Document& document, const Piece& piece, Filler& to) const {
  const auto part = [&](const auto& all, int64_t from) {
    return std::span(all).subspan(static_cast<std::size_t>(from),
                                  static_cast<std::size_t>(piece.length));
  };
  const auto targets = part(document.ids, piece.first + 1);
  const auto given = part(document.weights, piece.first + 1);
  std::vector<float> weights(given.begin(), given.end());
  if (!options_.ignored.empty()) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (std::ranges::count(options_.ignored, targets[i])) weights[i] = 0;
    }
  }
  to.add(part(document.ids, piece.first), targets, weights);
}

Batch TextSource::next(Cursor& cursor) const {
  Filler filler(options_.filling);
  for (;;) {
    const Epoch& now = epoch(cursor.epoch);
    if (cursor.next >= now.pieces.size()) {
      cursor = {cursor.epoch + 1, 0};
      continue;
    }
    const Piece& piece = now.pieces[cursor.next];
    if (!filler.fits(piece.length)) return filler.take();
    add(documents_[piece.document], piece, filler);
    ++cursor.next;
  }
}

std::vector<Batch> TextSource::held_out(int64_t most) const {
  std::vector<Batch> made;
  Filler filler(options_.filling);
  for (const Piece& piece : cut(held_out_, 0)) {
    if (!filler.fits(piece.length)) made.push_back(filler.take());
    if (std::ssize(made) == most) return made;
    add(held_out_[piece.document], piece, filler);
  }
  if (!filler.empty()) made.push_back(filler.take());
  return made;
}

}  // namespace regard::data
