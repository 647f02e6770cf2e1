#include "nn/pass.h"

#include <numeric>
#include <utility>

#include "tensor/pool.h"

namespace regard::nn {
namespace {

// first(i): where text i begins.
template <class First>
Texts make_texts(std::span<const int64_t> lengths, int64_t tokens, const First& first) {
  Texts made;
  made.positions.resize(static_cast<std::size_t>(tokens));
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const int64_t at = first(i), length = lengths[i];
    require(length > 0, "texts: text {} has {} tokens, must have one at least", i, length);
    made.segments.push_back({.first_row = at, .rows = length, .keys = length, .first_key = at});
    const auto begin = made.positions.begin() + at;
    std::iota(begin, begin + length, 0);
  }
  return made;
}

}  // namespace

Texts Texts::packed(std::span<const int64_t> lengths) {
  std::vector<int64_t> first{0};
  for (const int64_t length : lengths) first.push_back(first.back() + length);
  return make_texts(lengths, first.back(), [&](std::size_t i) { return first[i]; });
}

Texts Texts::padded(std::span<const int64_t> lengths, int64_t length) {
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    require(lengths[i] <= length, "texts: text {} has {} tokens, more than {}", i, lengths[i],
            length);
  }
  return make_texts(lengths, std::ssize(lengths) * length,
                    [&](std::size_t i) { return static_cast<int64_t>(i) * length; });
}

std::shared_ptr<Pass> Pass::make(Texts texts, std::vector<Kind> kinds, const PassOptions& options,
                                 std::optional<Source> source) {
  const std::shared_ptr<Pass> made(new Pass);
  made->texts_ = std::move(texts);
  made->kinds_ = std::move(kinds);
  made->source_ = std::move(source);
  made->options_ = options;
  const std::size_t count = made->kinds_.size() + (made->source_ ? 1 : 0);
  made->plans_.reserve(count);
  for (const Kind& kind : made->kinds_) made->plan(made->texts_.segments, kind);
  if (made->source_) {
    const std::vector<Segment>& own = made->texts_.segments;
    const std::vector<Segment>& theirs = made->source_->texts.segments;
    require(own.size() == theirs.size(), "pass: {} texts look at {} of the source", own.size(),
            theirs.size());
    require(made->source_->states.shape(0) == made->source_->texts.tokens(),
            "pass: the source has states {} for {} tokens", made->source_->states,
            made->source_->texts.tokens());
    for (std::size_t i = 0; i < own.size(); ++i) {
      made->cross_.push_back({.first_row = own[i].first_row,
                              .rows = own[i].rows,
                              .keys = theirs[i].keys,
                              .first_key = theirs[i].first_key});
    }
    made->plan(made->cross_, made->source_->kind);
  }
  return made;
}

void Pass::plan(const std::vector<Segment>& segments, const Kind& kind) {
  AttentionOptions options = kind.options;
  options.threads = current_pool().threads();
  plans_.emplace_back(kind.shape, segments, options);
  steps_.push_back({.segments = segments, .plan = &plans_.back(), .learned = kind.learned});
}

Step Pass::step() const {
  return {.positions = texts_.positions,
          .kinds = steps_,
          .observer = options_.observer,
          .source = source_ ? &source_->states : nullptr,
          .random = options_.random,
          .owner = shared_from_this()};
}

}  // namespace regard::nn
