#include "tasks/tasks.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/edit_distance.h"
#include "base/printable.h"
#include "tasks/draw.h"

namespace regard::tasks {
namespace {

constexpr int64_t kMostTokens = 65536, kMostSymbols = 512, kMostDepth = 1000;
constexpr uint64_t kHeldOut = 10;  // every so many-th source
constexpr int kMostDraws = 10'000;

const std::array<const Maker*, 10>& makers() {
  static const std::array<const Maker*, 10> all = {&kCopy,     &kReverse, &kSort,      &kDates,
                                                   &kAddition, &kRecall,  &kInduction, &kDyck,
                                                   &kListops,  &kShapes};
  return all;
}

const Maker& maker_of(std::string_view name) {
  for (const Maker* maker : makers()) {
    if (maker->name == name) return *maker;
  }
  const std::string_view asked = name.substr(0, 40);
  const Maker* const nearest = *std::ranges::min_element(
      makers(), {}, [&](const Maker* maker) { return edit_distance(maker->name, asked); });
  fail(ErrorKind::invalid_argument, "task: there is no '{}'; did you mean '{}'?", printable(asked),
       nearest->name);
}

uint64_t mix(uint64_t x) noexcept {  // a bijection whose bits all depend on all (Stafford 2011)
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

Split split_of(std::span<const Id> source) noexcept {
  uint64_t hash = 0;
  for (const Id id : source) hash = mix(hash + 0x9e3779b97f4a7c15u + static_cast<uint64_t>(id));
  return hash % kHeldOut == 0 ? Split::held_out : Split::train;
}

void check(const Maker& maker, const TaskOptions& options) {
  require(options.shortest >= 1 && options.shortest <= options.longest &&
              options.longest <= kMostTokens,
          "task {}: lengths {} .. {} are not within 1 .. {}", maker.name, options.shortest,
          options.longest, kMostTokens);
  require(options.longest >= maker.least_length, "task {}: longest ({}) is less than {}",
          maker.name, options.longest, maker.least_length);
  require(options.symbols >= 2 && options.symbols <= kMostSymbols,
          "task {}: symbols ({}) is not in 2 .. {}", maker.name, options.symbols, kMostSymbols);
  const int64_t deepest = std::max(options.max_depth, options.exact_depth);
  require(options.max_depth >= 1 && options.exact_depth >= 0 && deepest <= kMostDepth,
          "task {}: depth ({}) is not in 1 .. {}", maker.name, deepest, kMostDepth);
  require(!maker.nested || options.exact_depth == 0 ||
              options.exact_depth * maker.least_length <= options.longest,
          "task {}: a depth of {} needs {} tokens, longest is {}", maker.name, options.exact_depth,
          options.exact_depth * maker.least_length, options.longest);
}

}  // namespace

Task::Task(std::string_view name, const TaskOptions& options)
    : options_(options), maker_(&maker_of(name)) {
  const Maker& maker = *maker_;
  check(maker, options);
  vocabulary_ = {"<pad>", "<start>", "<stop>"};
  for (std::string& word : maker.vocabulary(options)) vocabulary_.push_back(std::move(word));
}

std::string_view Task::name() const noexcept { return maker_->name; }

bool Task::has_alignment() const noexcept { return maker_->aligned; }

Example Task::example(uint64_t seed, uint64_t number, Split split) const {
  for (int attempt = 0; attempt < kMostDraws; ++attempt) {
    const uint64_t stream = mix(mix(mix(seed) + number) + 2 * static_cast<uint64_t>(attempt) +
                                static_cast<uint64_t>(split));
    Example made = maker_->make(*this, stream);
    if (split_of(made.source) == split) return made;
  }
  fail(ErrorKind::failed, "task {}: none of {} draws is {}; there are too few different sources",
       name(), kMostDraws, split == Split::train ? "for training" : "held out");
}

std::string Task::text(std::span<const Id> ids) const {
  std::string made;
  bool word_before = false;
  for (const Id id : ids) {
    require(id >= 0 && id < std::ssize(vocabulary_), "task {}: id {} is not in 0 .. {}", name(), id,
            std::ssize(vocabulary_) - 1);
    const std::string& word = vocabulary_[static_cast<std::size_t>(id)];
    const bool is_word = (word.size() > 1 && word.front() != '<') || name() == "listops";
    if (!made.empty() && (is_word || word_before)) made += ' ';
    made += word;
    word_before = is_word;
  }
  return made;
}

std::span<const std::string_view> names() {
  static const std::vector<std::string_view> all = [] {
    std::vector<std::string_view> made;
    for (const Maker* maker : makers()) made.push_back(maker->name);
    return made;
  }();
  return all;
}

double alignment_error(const Example& example, std::span<const std::vector<float>> weights) {
  require(weights.size() == example.alignment.size(),
          "alignment_error: weights of {} target tokens, the gold alignment has {}", weights.size(),
          example.alignment.size());
  int64_t counted = 0, wrong = 0;
  for (std::size_t t = 0; t < weights.size(); ++t) {
    if (example.alignment[t] < 0 || weights[t].empty()) continue;
    const auto largest = std::ranges::max_element(weights[t]) - weights[t].begin();
    ++counted;
    wrong += largest != example.alignment[t];
  }
  return counted == 0 ? 0 : static_cast<double>(wrong) / static_cast<double>(counted);
}

}  // namespace regard::tasks
