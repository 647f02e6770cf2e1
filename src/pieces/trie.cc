#include "pieces/trie.h"

#include <algorithm>

#include "base/check.h"

namespace regard::pieces {

// Gives nodes their places. Free places are a list; of the blocks of 256 only the last few are
// still looked at, so that the time is linear in the number of nodes.
class Trie::Builder {
 public:
  Builder(std::vector<Unit>& units, const std::vector<Key>& keys) : units_(units), keys_(keys) {}

  void build() {
    add_block();
    take(kRoot, kAbove);
    work_.push_back({kRoot, 0, 0, keys_.size()});
    while (!work_.empty()) {
      const Work work = work_.back();
      work_.pop_back();
      place_children(work);
    }
  }

 private:
  static constexpr size_t kOpenBlocks = 8;
  static constexpr size_t kMostNodes = size_t{1} << 30;
  static constexpr uint32_t kEnd = UINT32_MAX;

  struct Work {
    Node node;
    size_t depth, begin, end;  // the keys [begin, end) agree in their first depth bytes
  };
  struct Links {
    uint32_t before, behind;
  };

  unsigned char byte(size_t key, size_t depth) const {
    return static_cast<unsigned char>(keys_[key].text[depth]);
  }

  void place_children(const Work& work) {
    size_t at = work.begin;
    for (; at < work.end && keys_[at].text.size() == work.depth; ++at)
      units_[work.node].value = keys_[at].value;  // the last of equals
    if (at == work.end) return;
    labels_.clear();
    for (size_t i = at; i < work.end; ++i)
      if (labels_.empty() || labels_.back() != byte(i, work.depth))
        labels_.push_back(byte(i, work.depth));
    const Node base = find_base();
    units_[work.node].base = base;
    for (const unsigned char label : labels_) {
      size_t last = at;
      while (last < work.end && byte(last, work.depth) == label) ++last;
      take(base ^ label, work.node);
      work_.push_back({base ^ label, work.depth + 1, at, last});
      at = last;
    }
  }

  Node find_base() {
    for (uint32_t place = first_; place != kEnd; place = links_[place].behind) {
      const Node base = place ^ labels_[0];
      if (std::all_of(labels_.begin() + 1, labels_.end(),
                      [&](unsigned char label) { return units_[base ^ label].parent == kFree; }))
        return base;
    }
    return add_block() ^ labels_[0];
  }

  Node add_block() {
    const size_t begin = units_.size();
    if (begin >= kMostNodes)
      fail(ErrorKind::unreadable, "tokenizer: the pieces have more than {} beginnings", kMostNodes);
    units_.resize(begin + 256);
    links_.resize(begin + 256);
    for (size_t place = begin; place < begin + 256; ++place) append(static_cast<uint32_t>(place));
    const size_t blocks = units_.size() / 256;
    if (blocks > kOpenBlocks) close(blocks - kOpenBlocks - 1);
    return static_cast<Node>(begin);
  }

  void close(size_t block) {
    for (size_t place = block * 256; place < block * 256 + 256; ++place)
      if (units_[place].parent == kFree) remove(static_cast<uint32_t>(place));
  }

  void take(Node place, Node parent) {
    remove(place);
    units_[place].parent = parent;
  }

  void append(uint32_t place) {
    links_[place] = {last_, kEnd};
    (last_ == kEnd ? first_ : links_[last_].behind) = place;
    last_ = place;
  }

  void remove(uint32_t place) {
    const auto [before, behind] = links_[place];
    (before == kEnd ? first_ : links_[before].behind) = behind;
    (behind == kEnd ? last_ : links_[behind].before) = before;
  }

  std::vector<Unit>& units_;
  const std::vector<Key>& keys_;
  std::vector<Links> links_;
  uint32_t first_ = kEnd, last_ = kEnd;
  std::vector<Work> work_;
  std::vector<unsigned char> labels_;
};

Trie::Trie(std::vector<Key> keys) {
  std::erase_if(keys, [](const Key& key) { return key.text.empty(); });
  std::stable_sort(keys.begin(), keys.end(),
                   [](const Key& a, const Key& b) { return a.text < b.text; });
  Builder(units_, keys).build();
  units_[kRoot].value = kNone;
  units_.shrink_to_fit();
}

}  // namespace regard::pieces
