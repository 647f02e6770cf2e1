#include "models/stored_tensors.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/printable.h"
#include "models/tensor_names.h"
#include "models/transforms.h"

namespace regard::models {
namespace {

// What is one matrix in some families: its parts, in their order, and whose name it has.
struct Joined {
  std::string_view name;
  std::vector<std::string_view> parts;
};
const std::array kJoined{
    Joined{"blk.{}.attn_qkv", {"blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v"}},
    Joined{"blk.{}.ffn_up", {"blk.{}.ffn_gate", "blk.{}.ffn_up"}}};

class Reverse {
 public:
  Reverse(const TensorSource& own, const Family& family, const Settings& settings)
      : own_(own), family_(family), settings_(settings) {
    for (const TensorRule& rule : family.tensors) rules_[std::string(rule.name)].push_back(&rule);
  }

  void add(const TensorInfo& tensor) {
    for (const std::string_view held : {"rope_freqs.", "rope_factors_"}) {
      if (tensor.name.starts_with(held)) return;
    }
    const std::size_t dot = std::min(tensor.name.rfind('.'), tensor.name.size());
    const std::string end = tensor.name.substr(dot);
    const Pattern pattern = pattern_of(tensor.name.substr(0, dot));
    if (end != ".weight" && end != ".bias") refuse(tensor);
    if (add_joined(tensor, pattern, end)) return;
    const auto rules = rules_.find(pattern.text);
    if (rules == rules_.end()) refuse(tensor);
    // T5 has two names of the matrix: the first of a plain MLP, the other of one with a gate.
    const TensorRule& rule = settings_.gated ? *rules->second.back() : *rules->second.front();
    if (rule.transform == Transform::stacked) return add_experts(tensor, rule, pattern, end);
    add_one({&tensor}, rule, pattern, end);
  }

  std::vector<StoredTensor> take() { return std::move(made_); }

 private:
  [[noreturn]] void refuse(const TensorInfo& tensor) const {
    fail(ErrorKind::unreadable, "{}: tensor {} has no place in a folder of type {}", own_.name(),
         printable(tensor.name), family_.model_types.front());
  }

  template <class... Args>
  void ask(bool holds, const TensorInfo& tensor, fmt::format_string<Args...> rule,
           Args&&... args) const {
    if (holds) return;
    fail(ErrorKind::unreadable, "{}: tensor {} is {} {}, {}", own_.name(), printable(tensor.name),
         tensor.type_name, shape_text(tensor), fmt::format(rule, std::forward<Args>(args)...));
  }

  std::string stored_name(const TensorRule& rule, std::span<const int64_t> numbers,
                          const std::string& end) const {
    // What a bare model has by itself, one with a head has behind a prefix; the head has none.
    const bool prefix =
        settings_.form == Form::decoder && rule.name != "output" && !family_.prefixes.empty();
    return std::string(prefix ? family_.prefixes.front() : "") + fill(rule.stored, numbers) + end;
  }

  // Whether the tensor is a part of a matrix that the family has whole: the first brings all.
  bool add_joined(const TensorInfo& tensor, const Pattern& pattern, const std::string& end) {
    for (const Joined& joined : kJoined) {
      const auto place = std::find(joined.parts.begin(), joined.parts.end(), pattern.text);
      const auto rules = rules_.find(std::string(joined.name));
      if (place == joined.parts.end() || rules == rules_.end()) continue;
      // A family that names the first part has the matrices apart.
      if (rules_.contains(std::string(joined.parts.front()))) continue;
      const TensorInfo* first = own_.find(fill(joined.parts.front(), pattern.numbers) + end);
      if (first == nullptr) {
        if (pattern.text == joined.name) continue;  // whole in the file, too
        refuse(tensor);
      }
      if (place != joined.parts.begin()) return true;
      std::vector<const TensorInfo*> parts;
      for (const std::string_view part : joined.parts) {
        parts.push_back(&own_.get(fill(part, pattern.numbers) + end));
        ask(parts.back()->rank == first->rank && parts.back()->rank <= 2 &&
                (first->rank == 1 || parts.back()->shape[1] == first->shape[1]),
            *parts.back(), "{} is {}", first->name, shape_text(*first));
      }
      add_one(std::move(parts), *rules->second.front(), pattern, end);
      return true;
    }
    return false;
  }

  void add_one(std::vector<const TensorInfo*> parts, const TensorRule& rule, const Pattern& pattern,
               const std::string& end) {
    const TensorInfo& tensor = *parts.front();
    ask(tensor.rank == 1 || tensor.rank == 2, tensor, "no vector or matrix");
    StoredTensor made{.name = stored_name(rule, pattern.numbers, end),
                      .transform = rule.transform,
                      .parts = std::move(parts),
                      .rank = tensor.rank,
                      .shape = tensor.shape};
    for (const TensorInfo* part : made.parts) made.rows += part->shape[0];
    made.shape[0] = made.rows;
    // A vector is its own transpose.
    if (tensor.rank == 1 && rule.transform == Transform::transposed) {
      made.transform = Transform::as_is;
    }
    const int64_t wanted = rows_asked(rule.transform, settings_);
    ask(wanted == 0 || made.rows == wanted, tensor, "the model's sizes ask for {} rows", wanted);
    ask(rule.transform != Transform::plus_one || tensor.rank == 1, tensor, "no vector");
    ask(rule.transform != Transform::past_padding, tensor, "whose padding is lost");
    if (made.transform == Transform::transposed) std::swap(made.shape[0], made.shape[1]);
    made_.push_back(std::move(made));
  }

  void add_experts(const TensorInfo& tensor, const TensorRule& rule, const Pattern& pattern,
                   const std::string& end) {
    ask(tensor.rank == 3 && tensor.shape[0] == settings_.experts, tensor,
        "not one matrix of each of {} experts", settings_.experts);
    for (int64_t expert = 0; expert < settings_.experts; ++expert) {
      std::vector<int64_t> numbers = pattern.numbers;
      numbers.push_back(expert);
      made_.push_back({.name = stored_name(rule, numbers, end),
                       .parts = {&tensor},
                       .first = expert * tensor.shape[1],
                       .rows = tensor.shape[1],
                       .rank = 2,
                       .shape = {tensor.shape[1], tensor.shape[2], 1, 1}});
    }
  }

  const TensorSource& own_;
  const Family& family_;
  const Settings& settings_;
  std::map<std::string, std::vector<const TensorRule*>> rules_;  // by GGUF's names
  std::vector<StoredTensor> made_;
};

}  // namespace

TensorInfo StoredTensor::joined(DType dtype, std::span<const std::byte> numbers) const {
  TensorInfo own{.name = name,
                 .dtype = dtype,
                 .type_name = std::string(info(dtype).name),
                 .rank = rank,
                 .shape = parts.front()->shape,
                 .data = numbers};
  own.shape[0] = rows;
  return own;
}

std::vector<StoredTensor> stored_tensors(const TensorSource& own, const Family& family,
                                         const Settings& settings) {
  Reverse reverse(own, family, settings);
  for (const TensorInfo& tensor : own.tensors()) reverse.add(tensor);
  return reverse.take();
}

}  // namespace regard::models
