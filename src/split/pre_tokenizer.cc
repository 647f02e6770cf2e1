#include "split/pre_tokenizer.h"

#include <utility>

#include "base/check.h"

namespace regard::split {
namespace {

uint32_t checked_size(std::string_view text) {
  require(text.size() <= UINT32_MAX,
          "encode: the text has {} bytes once it is normalised, more than {}", text.size(),
          UINT32_MAX);
  return static_cast<uint32_t>(text.size());
}

}  // namespace

Words::Words(std::string_view part, int64_t origin, normalise::Tracking tracking)
    : part_(part), origin_(origin), tracking_(tracking) {
  if (!part.empty()) spans_.push_back({0, checked_size(part)});
}

Words::Words(normalise::Aligned text, int64_t origin)
    : origin_(origin), tracking_(text.tracking), aligned_(std::move(text)) {
  if (!aligned_->text.empty()) spans_.push_back({0, checked_size(aligned_->text)});
}

ByteRange Words::origin_of(int64_t first, int64_t last) const noexcept {
  if (aligned_) return aligned_->origin_of(first, last);
  return {origin_ + first, origin_ + last};
}

const normalise::Aligned& Words::aligned() {
  if (!aligned_) aligned_.emplace(part_, origin_, tracking_);
  return *aligned_;
}

void Words::replace(normalise::Aligned text, std::vector<Span> spans) {
  checked_size(text.text);
  aligned_ = std::move(text);
  spans_ = std::move(spans);
}

}  // namespace regard::split
