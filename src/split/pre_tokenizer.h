// PreTokenizer: one step that cuts a text into words; no token crosses a cut. The names are those
// of tokenizer.json. Some steps rewrite the words as well: a space becomes U+2581.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "normalise/aligned.h"

namespace regard::split {

struct Span {
  uint32_t begin;
  uint32_t end;
};

// A text and the words it is cut into so far: not empty, in order; what lies between is gone.
class Words {
 public:
  // A part of the original text that begins at its byte `origin`, one word, nothing changed.
  Words(std::string_view part, int64_t origin, normalise::Tracking tracking);
  // The same, normalised.
  Words(normalise::Aligned text, int64_t origin);

  std::string_view text() const noexcept { return aligned_ ? aligned_->text : part_; }
  std::vector<Span>& spans() noexcept { return spans_; }

  // Does the byte at `at` come from the start of the original text? Exact for a normalised text
  // only if it is tracked.
  bool begins_text(uint32_t at) const noexcept {
    if (aligned_ && aligned_->tracked()) return aligned_->origins[at].begin == 0;
    return origin_ == 0 && at == 0;
  }
  // Where text[first, last) comes from. Requires: tracked, first < last.
  ByteRange origin_of(int64_t first, int64_t last) const noexcept;
  bool tracked() const noexcept { return tracking_ == normalise::Tracking::on; }

  // For steps that rewrite: the text with its origins, and its replacement.
  const normalise::Aligned& aligned();
  void replace(normalise::Aligned text, std::vector<Span> spans);

 private:
  std::string_view part_;
  int64_t origin_;
  normalise::Tracking tracking_;
  std::optional<normalise::Aligned> aligned_;  // not set: the text is part_
  std::vector<Span> spans_;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Called by many threads at once.
  virtual void apply(Words& words) const = 0;
  // Do the words depend on where the text came from? Then it must be tracked.
  virtual bool asks_origin() const noexcept { return false; }
};

using Step = std::unique_ptr<const PreTokenizer>;

}  // namespace regard::split
