// The steps that change words: U+2581 for a space, a space in front.
#include <utility>

#include "split/steps.h"

namespace regard::split {
namespace {

// The next version of a text, written word by word.
class Writer {
 public:
  explicit Writer(Words& words) : old_(words.aligned()) {
    next_.tracking = old_.tracking;
    next_.text.reserve(old_.text.size() + old_.text.size() / 8);
    spans_.reserve(words.spans().size());
  }

  const std::string& text() const noexcept { return old_.text; }
  void begin_word() { begin_ = next_.text.size(); }
  void end_word() {
    if (next_.text.size() != begin_)
      spans_.push_back({static_cast<uint32_t>(begin_), static_cast<uint32_t>(next_.text.size())});
    begin_ = next_.text.size();
  }
  void keep(size_t from, size_t to) {
    next_.text.append(old_.text, from, to - from);
    if (!old_.tracked()) return;
    const auto origins = old_.origins.begin();
    next_.origins.insert(next_.origins.end(), origins + static_cast<std::ptrdiff_t>(from),
                         origins + static_cast<std::ptrdiff_t>(to));
  }
  // `added` comes from where the byte at `from` does.
  void write(std::string_view added, size_t from) {
    next_.text += added;
    if (old_.tracked()) next_.origins.insert(next_.origins.end(), added.size(), old_.origins[from]);
  }
  void finish(Words& words) { words.replace(std::move(next_), std::move(spans_)); }

 private:
  const normalise::Aligned& old_;
  normalise::Aligned next_;
  std::vector<Span> spans_;
  size_t begin_ = 0;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  bool asks_origin() const noexcept override { return prepend_ == Prepend::first; }

  void apply(Words& words) const override {
    Writer writer(words);
    const std::string& text = writer.text();
    for (const auto [begin, end] : words.spans()) {
      writer.begin_word();
      size_t at = begin;
      const bool has_one =
          text[at] == ' ' || std::string_view(text).substr(at, end - at).starts_with(replacement_);
      if (!has_one &&
          (prepend_ == Prepend::always || (prepend_ == Prepend::first && words.begins_text(begin))))
        writer.write(replacement_, at);
      while (at != end) {
        const bool space = text[at] == ' ';
        if (split_ && (space || text.compare(at, replacement_.size(), replacement_) == 0) &&
            at != begin)
          writer.end_word();
        size_t next = at + 1;
        if (space) {
          writer.write(replacement_, at);
        } else {
          while (next != end && text[next] != ' ' && (!split_ || text[next] != replacement_[0]))
            ++next;
          writer.keep(at, next);
        }
        at = next;
      }
      writer.end_word();
    }
    writer.finish(words);
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

class SpaceInFront final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    if (words.spans().size() == 1 && words.text()[words.spans()[0].begin] == ' ') return;
    Writer writer(words);
    for (const auto [begin, end] : words.spans()) {
      writer.begin_word();
      if (writer.text()[begin] != ' ') writer.write(" ", begin);
      writer.keep(begin, end);
      writer.end_word();
    }
    writer.finish(words);
  }
};

}  // namespace

Step metaspace(std::string replacement, Prepend prepend, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), prepend, split);
}

Step space_in_front() { return std::make_unique<SpaceInFront>(); }

}  // namespace regard::split
