// HfConfig: the settings beside a checkpoint of transformers, config.json and, where there is one,
// generation_config.json. Every value is checked for type and range when it is asked for; a value
// null is an absent one, as transformers means it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace regard {

// How positions turn queries and keys, as the settings say it; what a form means is the family's.
struct HfRope {
  std::string type = "default";   // "linear", "dynamic", "yarn", "llama3", "longrope", …
  double theta = 10000;           // the base
  std::optional<double> partial;  // the share of each head that turns
  std::optional<double> factor;   // by which the context was stretched
  std::optional<int64_t> original_context;
  std::optional<double> attention_factor;         // yarn, longrope
  std::optional<double> beta_fast, beta_slow;     // yarn
  std::optional<double> mscale, mscale_all_dim;   // yarn
  std::optional<bool> truncate;                   // yarn
  std::optional<double> low_freq, high_freq;      // llama3
  std::vector<double> short_factor, long_factor;  // longrope
};

// One object of the settings.
class HfConfig {
 public:
  // More layers than any model has: a limit on what a file may make its reader allocate.
  static constexpr int64_t kMaxLayers = 4096;

  // folder/config.json and, if it is there, folder/generation_config.json.
  // Throws Error(unreadable) that names file, place and rule.
  static HfConfig open(const std::filesystem::path& folder);
  // The same from text; `name` stands for config.json in messages.
  static HfConfig parse(std::string_view config, std::string_view name,
                        std::string_view generation = {}, std::string_view generation_name = {});

  const std::string& name() const noexcept { return name_; }  // the file, as in messages

  // The inner object where a model of several kinds of input keeps the language model's settings
  // ("text_config"); this object where there is none.
  HfConfig text() const;
  // generation_config.json; an empty object where there is none.
  HfConfig generation() const;
  // These settings, and `usual`, an object, where they leave a key out.
  HfConfig over(const nlohmann::json& usual) const;
  // The object at `key`, nothing if it is absent.
  std::optional<HfConfig> find_object(std::string_view key) const;

  bool has(std::string_view key) const;  // present and not null

  // find_…: nothing if the key is absent. get_…: refused then. Both throw Error(unreadable) for a
  // value of another type or outside least … most (both allowed). Numbers are finite.
  int64_t get_int(std::string_view key, int64_t least, int64_t most) const;
  double get_f64(std::string_view key, double least, double most) const;
  bool get_bool(std::string_view key) const;
  std::string get_string(std::string_view key) const;

  std::optional<int64_t> find_int(std::string_view key, int64_t least, int64_t most) const;
  std::optional<double> find_f64(std::string_view key, double least, double most) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string> find_string(std::string_view key) const;
  // Lists of at most `most_entries` entries.
  std::optional<std::vector<std::string>> find_strings(std::string_view key,
                                                       int64_t most_entries) const;
  std::optional<std::vector<double>> find_f64s(std::string_view key, double least, double most,
                                               int64_t most_entries) const;
  // A number or a list of them: [2] and 2 are the same.
  std::optional<std::vector<int64_t>> find_ints(std::string_view key, int64_t least, int64_t most,
                                                int64_t most_entries) const;

  // One entry a layer. A number stands for all layers; a list must have exactly `layers` entries.
  // Require 0 <= layers <= kMaxLayers.
  std::optional<std::vector<std::string>> find_layer_strings(std::string_view key,
                                                             int64_t layers) const;
  std::optional<std::vector<int64_t>> find_layer_ints(std::string_view key, int64_t layers,
                                                      int64_t least, int64_t most) const;

  std::string model_type() const { return get_string("model_type"); }
  std::optional<std::string> dtype() const;  // "bfloat16"; either generation's key

  // transformers 5's rope_parameters, or 4's rope_theta and rope_scaling; layers of the type
  // "sliding_attention" have only rope_local_base_freq of 4's. layer_type selects where the
  // settings differ by layer, and is ignored where they do not.
  HfRope rope(double default_theta = 10000, std::string_view layer_type = {}) const;

  // The ids that end a text: generation_config.json's eos_token_id, else config.json's, else that
  // of its text_config.
  std::vector<int64_t> eos_ids(int64_t vocabulary) const;

  // Says that `key` breaks a rule: "FILE: rope_scaling.factor: is 0; …".
  [[noreturn]] void refuse(std::string_view key, std::string_view rule) const;

 private:
  using Json = nlohmann::json;

  HfConfig() = default;
  const Json* find(std::string_view key) const;
  double number(std::string_view key, const Json& value, double least, double most) const;
  int64_t whole(std::string_view key, const Json& value, int64_t least, int64_t most) const;
  void fill_rope(HfRope& rope) const;

  std::string name_;
  std::string place_;                // "rope_scaling." inside that object
  std::shared_ptr<const Json> all_;  // of the file
  const Json* object_ = nullptr;     // in *all_
  std::shared_ptr<const HfConfig> generation_;
};

}  // namespace regard
