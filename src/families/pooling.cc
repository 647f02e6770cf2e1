#include "families/pooling.h"

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/mapped_file.h"
#include "json/json.h"

namespace regard::families {
namespace {

constexpr JsonLimits kLimits{.bytes = 1 << 20, .values = 1 << 12, .depth = 8};

std::optional<nlohmann::json> read(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  const MappedFile file(path);
  return parse_json(file.text(), path.native(), kLimits);
}

Pooling read_mode(const nlohmann::json& config, const std::string& file) {
  struct Mode {
    std::string_view name;
    Pooling pooling;
  };
  std::optional<Pooling> found;
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode_") || value != true) continue;
    std::optional<Pooling> mode;
    for (const Mode& known : {Mode{"pooling_mode_mean_tokens", Pooling::mean},
                              Mode{"pooling_mode_cls_token", Pooling::cls},
                              Mode{"pooling_mode_lasttoken", Pooling::last},
                              Mode{"pooling_mode_max_tokens", Pooling::max}}) {
      if (key == known.name) mode = known.pooling;
    }
    if (!mode || found) {
      fail(ErrorKind::unreadable,
           "{}: {} is set; one of mean_tokens, cls_token, lasttoken and max_tokens is supported",
           file, printable(key));
    }
    found = mode;
  }
  if (!found) fail(ErrorKind::unreadable, "{}: no pooling_mode_… is set", file);
  return *found;
}

// max_seq_length: longer texts are none that the model was trained on. 0 if the file does not say.
int64_t read_most_tokens(const std::filesystem::path& path) {
  const auto config = read(path);
  if (!config) return 0;
  if (!config->is_object()) {
    fail(ErrorKind::unreadable, "{}: is {}; settings are an object", path.native(),
         config->is_array() ? "a list" : "no object");
  }
  if (!config->contains("max_seq_length")) return 0;
  const nlohmann::json& most = (*config)["max_seq_length"];
  if (most.is_null()) return 0;
  if (!most.is_number_integer() || most < 1 || most > models::kMostContext) {
    fail(ErrorKind::unreadable, "{}: max_seq_length is not a whole number in 1 .. {}",
         path.native(), models::kMostContext);
  }
  return most.get<int64_t>();
}

}  // namespace

void read_pooling(const std::filesystem::path& folder, models::EncoderSettings& settings) {
  const std::filesystem::path list = folder / "modules.json";
  const auto modules = read(list);
  if (!modules) return;
  const auto text = [](const nlohmann::json& module, const char* key) {
    const auto at = module.is_object() ? module.find(key) : module.end();
    return at != module.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  settings.normalise = false;
  for (const nlohmann::json& module : *modules) {
    const std::string type = text(module, "type");
    if (type.ends_with(".Pooling")) {
      const std::string path = text(module, "path");
      // A name beside the list: a file that was fetched does not say which others are read.
      if (path.empty() || path.find('/') != std::string::npos || path == "..") {
        fail(ErrorKind::unreadable, "{}: path \"{}\" is no folder beside it", list.native(),
             printable(path));
      }
      const std::filesystem::path file = folder / path / "config.json";
      const auto config = read(file);
      if (!config || !config->is_object()) {
        fail(ErrorKind::unreadable, "{}: {}, which says how to pool, is not there or no object",
             list.native(), file.native());
      }
      settings.pooling = read_mode(*config, file.native());
    } else if (type.ends_with(".Normalize")) {
      settings.normalise = true;
    } else if (type.ends_with(".Transformer")) {
      settings.most_tokens = read_most_tokens(folder / "sentence_bert_config.json");
    } else {
      fail(ErrorKind::unreadable,
           "{}: module \"{}\" is not supported; Transformer, Pooling and Normalize are",
           list.native(), printable(type));
    }
  }
}

}  // namespace regard::families
