#include "families/families.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/printable.h"

namespace regard::families {
namespace {

template <class NamesOf>
[[noreturn]] void refuse(const std::string& file, const char* what, std::string_view got,
                         const NamesOf& names_of) {
  std::vector<std::string_view> names;
  for (const Family* family : all()) {
    for (const std::string_view name : names_of(*family)) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::string list;
  for (const std::string_view name : names) {
    if (!list.empty()) list += name == names.back() ? " and " : ", ";
    list += name;
  }
  fail(ErrorKind::unreadable, "{}: {} \"{}\" is not supported; {} are", file, what, printable(got),
       list);
}

}  // namespace

std::span<const Family* const> all() {
  static const std::array<const Family*, 14> families{
      &bert(),    &bloom(), &gemma2(), &gemma3(), &gpt2(),  &llama(),   &mistral(),
      &mixtral(), &mpt(),   &phi3(),   &qwen2(),  &qwen3(), &roberta(), &t5()};
  return families;
}

const Family& family_of(const HfConfig& config) {
  const std::string type = config.model_type();
  for (const Family* family : all()) {
    const auto& types = family->model_types;
    if (std::find(types.begin(), types.end(), type) != types.end()) return *family;
  }
  refuse(config.name(), "model_type", type,
         [](const Family& family) { return std::span(family.model_types); });
}

const Family& family_of(const GgufFile& file) {
  const std::string_view architecture = file.get_string("general.architecture");
  if (architecture == "llama") return llama();  // Mistral's and Mixtral's, too
  for (const Family* family : all()) {
    if (family->architecture == architecture) return *family;
  }
  refuse(file.name(), "architecture", architecture,
         [](const Family& family) { return std::span(&family.architecture, 1); });
}

Settings read_config(const HfConfig& config, const Family& family) {
  Settings settings;
  settings.architecture = family.architecture;
  never(config, "quantization_config");
  family.defaults(settings);
  family.read_config(config, settings);
  check(settings, config.name());
  return settings;
}

}  // namespace regard::families
