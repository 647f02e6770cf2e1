#include "models/family_tensors.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/printable.h"
#include "matmul/matmul.h"
#include "models/tensor_names.h"
#include "models/transforms.h"

namespace regard::models {
namespace {

std::string_view without_prefix(std::string_view name, const Family& family) {
  for (const std::string_view prefix : family.prefixes) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name;
}

bool is_ignored(std::string_view name, const Family& family) {
  const auto& ignored = family.ignored;
  return std::any_of(ignored.begin(), ignored.end(), [&](std::string_view known) {
    return known.ends_with('.') ? name.starts_with(known) : name == known;
  });
}

struct Target {
  const TensorRule* rule;
  std::string_view end;
};
using Targets = std::unordered_map<std::string, Target>;

Targets targets_of(const Family& family) {
  Targets targets;
  for (const TensorRule& rule : family.tensors) {
    // The first BERT's names for a norm's weight and bias are gamma and beta.
    for (const auto& [stored, own] :
         {std::pair(".weight", ".weight"), std::pair(".bias", ".bias"),
          std::pair(".gamma", ".weight"), std::pair(".beta", ".bias")}) {
      targets[std::string(rule.stored) + stored] = {&rule, own};
    }
  }
  return targets;
}

}  // namespace

FamilyTensors::FamilyTensors(const TensorSource& stored, const Family& family,
                             const Settings& settings)
    : stored_(stored), family_(family), settings_(settings) {
  collect();
  add_numbers(settings.rope.far_factors.empty() ? "rope_freqs.weight" : "rope_factors_short.weight",
              settings.rope.factors);
  add_numbers("rope_factors_long.weight", settings.rope.far_factors);
  for (std::size_t index = 0; index < tensors_.size(); ++index) describe(index);
  index_ = TensorIndex(tensors_);
  if (const TensorInfo* twice = index_.duplicate(tensors_)) {
    fail(ErrorKind::unreadable, "{}: two tensors become {}", name(), twice->name);
  }
}

void FamilyTensors::collect() {
  const Targets targets = targets_of(family_);
  std::map<std::string, std::map<int64_t, const TensorInfo*>> stacks;
  std::unordered_map<std::string, const TensorRule*> rules_of_stacks;
  for (const TensorInfo& tensor : stored_.tensors()) {
    // Most rules say {} for every number; T5's tell layers' parts apart by a second one.
    Pattern pattern = pattern_of(without_prefix(tensor.name, family_));
    auto target = targets.find(pattern.text);
    if (target == targets.end()) {
      pattern = pattern_of(without_prefix(tensor.name, family_), 1);
      target = targets.find(pattern.text);
    }
    if (target == targets.end()) {
      if (is_ignored(pattern.text, family_)) continue;
      fail(ErrorKind::unreadable, "{}: tensor \"{}\" is none that a model of type {} has", name(),
           printable(tensor.name), family_.model_types.front());
    }
    const auto& [rule, end] = target->second;
    if (settings_.tied && rule->name == "output") continue;
    std::string own = fill(rule->name, pattern.numbers) + std::string(end);
    if (rule->transform == Transform::stacked) {
      stacks[own][pattern.numbers.back()] = &tensor;
      rules_of_stacks[own] = rule;
      continue;
    }
    tensors_.push_back(tensor);
    tensors_.back().name = std::move(own);
    // A vector is its own transpose.
    const bool as_is = tensor.rank == 1 && rule->transform == Transform::transposed;
    origins_.push_back({as_is ? Transform::as_is : rule->transform, {&tensor}, {}});
  }
  for (auto& [own, parts] : stacks) {
    Origin origin{Transform::stacked, {}, {}};
    for (const auto& [expert, tensor] : parts) {
      if (expert != std::ssize(origin.parts)) {
        fail(ErrorKind::unreadable, "{}: expert {} of {} is missing", name(), origin.parts.size(),
             own);
      }
      origin.parts.push_back(tensor);
    }
    tensors_.push_back(*origin.parts.front());
    tensors_.back().name = own;
    origins_.push_back(std::move(origin));
  }
}

void FamilyTensors::add_numbers(std::string own, std::span<const float> numbers) {
  if (numbers.empty()) return;
  TensorInfo info;
  info.name = std::move(own);
  info.dtype = DType::f32;
  info.type_name = "f32";
  info.rank = 1;
  info.shape[0] = std::ssize(numbers);
  info.data = std::as_bytes(numbers);
  tensors_.push_back(std::move(info));
  origins_.push_back({});
}

// What becomes of shape and type, checked; data that has to be made is left out.
void FamilyTensors::describe(std::size_t index) {
  TensorInfo& tensor = tensors_[index];
  const Origin& origin = origins_[index];
  if (origin.transform == Transform::as_is) return;
  try {
    const TransformedShape shape = transformed(origin.transform, origin.parts, settings_);
    tensor.rank = shape.rank;
    tensor.shape = shape.extents;
    tensor.dtype = shape.dtype;
    tensor.type_name = info(*shape.dtype).name;
  } catch (const Error& error) {
    fail(ErrorKind::unreadable, "{}: tensor \"{}\": {}", name(),
         printable(origin.parts.front()->name), error.what());
  }
  tensor.data = {};
}

const TensorInfo* FamilyTensors::find(std::string_view wanted) const noexcept {
  const TensorInfo* found = index_.find(tensors_, wanted);
  if (found == nullptr) return nullptr;
  const auto index = static_cast<std::size_t>(found - tensors_.data());
  if (origins_[index].transform != Transform::as_is && found->data.empty()) make(index);
  return found;
}

std::string FamilyTensors::stored_name(std::string_view wanted) const {
  if (const TensorInfo* found = index_.find(tensors_, wanted)) {
    const auto& parts = origins_[static_cast<std::size_t>(found - tensors_.data())].parts;
    if (!parts.empty()) return parts.front()->name;
  }
  const Pattern pattern = pattern_of(wanted);
  for (const TensorRule& rule : family_.tensors) {
    const std::string_view own = rule.name;
    if (!std::string_view(pattern.text).starts_with(own)) continue;
    const std::string end = pattern.text.substr(own.size());
    if (end == ".weight" || end == ".bias") return fill(rule.stored, pattern.numbers) + end;
  }
  return std::string(wanted);
}

void FamilyTensors::make(std::size_t index) const {
  const Origin& origin = origins_[index];
  origin.made = transform(origin.transform, origin.parts, settings_);
  for (const TensorInfo* part : origin.parts) stored_.release(part->data);
  tensors_[index].data = origin.made;
}

void FamilyTensors::release(std::span<const std::byte> part) const noexcept {
  for (std::size_t index = 0; index < tensors_.size(); ++index) {
    if (tensors_[index].data.data() != part.data() || part.empty()) continue;
    if (!origins_[index].made.empty()) {
      std::vector<std::byte>().swap(origins_[index].made);  // "= {}" would keep the memory
      tensors_[index].data = {};
    } else if (!origins_[index].parts.empty()) {
      stored_.release(part);
    }
    return;
  }
}

}  // namespace regard::models
