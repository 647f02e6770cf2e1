// Part: one value inside tokenizer.json, read key by key; every complaint names the way to it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/check.h"

namespace regard::parts {

class Part {
 public:
  // `value` must outlive this. path: "normalizer.normalizers[2]".
  Part(const nlohmann::json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const std::string& path() const noexcept { return path_; }
  const nlohmann::json& value() const noexcept { return *value_; }
  bool is_null() const noexcept { return value_->is_null(); }

  // The value of a key; nothing if it is not there or null. Throws unless this is an object.
  std::optional<Part> find(std::string_view key) const;
  Part get(std::string_view key) const;

  std::string type() const { return get("type").string(); }
  // The value itself.
  const std::string& string() const;
  bool boolean() const;
  int64_t integer(int64_t least, int64_t most) const;
  std::vector<Part> list() const;  // of an array

  // Of a key.
  const std::string& get_string(std::string_view key) const { return get(key).string(); }
  bool get_bool(std::string_view key) const { return get(key).boolean(); }
  bool get_bool(std::string_view key, bool otherwise) const;
  // One character, as UTF-8.
  std::string get_character(std::string_view key) const;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> rule, Args&&... args) const {
    fail(ErrorKind::unreadable, "tokenizer.json: {}{}{}", path_, path_.empty() ? "" : ": ",
         fmt::format(rule, std::forward<Args>(args)...));
  }

 private:
  const nlohmann::json* value_;
  std::string path_;
};

// A reader for each "type". Throws for a type without one, naming those that there are.
template <class Read>
struct Reader {
  std::string_view type;
  Read read;
};
template <class Read, size_t kCount>
Read find_reader(const Reader<Read> (&readers)[kCount], const Part& part) {
  const std::string type = part.type();
  std::string names;
  for (const Reader<Read>& reader : readers) {
    if (reader.type == type) return reader.read;
    names += names.empty() ? "" : ", ";
    names += reader.type;
  }
  part.get("type").refuse("{} is not supported; supported: {}",
                          nlohmann::json(type.substr(0, 40))
                              .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                          names);
}

// A string or {"String": ...} or {"Regex": ...}, as Split and Replace have it.
struct Pattern {
  std::string text;
  bool is_regex;
};
Pattern read_pattern(const Part& part);

}  // namespace regard::parts
