// nlohmann's parser keeps its own stack and calls a builder for every token; the builder here makes
// the value and refuses what breaks a limit at the moment it is met.
#include "json/json.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"

namespace regard {
namespace {

// Where the parser stands, seen from outside: it takes iterators and tells nobody.
class Watched {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Watched(const char* at, const char** seen) : at_(at), seen_(seen) {}
  reference operator*() const noexcept { return *at_; }
  Watched& operator++() noexcept {
    *seen_ = ++at_;
    return *this;
  }
  bool operator==(const Watched& other) const noexcept { return at_ == other.at_; }
  bool operator!=(const Watched& other) const noexcept { return at_ != other.at_; }

 private:
  const char* at_;
  const char** seen_;
};

template <class Json>
class Builder {
 public:
  Builder(std::string_view text, std::string_view name, const JsonLimits& limits)
      : text_(text), name_(name), limits_(limits), seen_(text.data()) {}

  Json build() {
    const char* first = text_.data();
    Json::sax_parse(Watched(first, &seen_), Watched(first + text_.size(), &seen_), this);
    return std::move(root_);
  }

  bool null() { return take(nullptr); }
  bool boolean(bool value) { return take(value); }
  bool number_integer(int64_t value) { return take(value); }
  bool number_unsigned(uint64_t value) { return take(value); }
  bool number_float(double value, const std::string&) { return take(value); }
  bool string(std::string& value) { return take(std::move(value)); }
  bool binary(typename Json::binary_t&) { return false; }  // JSON text has none
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& text) {
    Level& level = levels_.back();
    bool fresh;
    if constexpr (kSorted) {
      fresh = !level.value.contains(text);
    } else {
      fresh = level.keys.insert(text).second;
    }
    if (!fresh) refuse("the key \"{}\" is there twice in one object", printable(text));
    level.key = std::move(text);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) {
    const std::size_t at = position == 0 ? 0 : position - 1;
    const std::string_view rest = text_.substr(std::min(at, text_.size()));
    for (const std::string_view word : {"NaN", "Infinity"}) {
      if (!rest.starts_with(word)) continue;
      refuse_at(at, "{} is not JSON, though Python's json module writes it; put a number or null",
                word);
    }
    // "[json.exception.…] parse error at line 1, column 2: what is wrong"
    std::string_view words = e.what();
    const std::size_t column = words.find("column ");
    const std::size_t colon = words.find(": ", column == std::string_view::npos ? 0 : column);
    if (column != std::string_view::npos && colon != std::string_view::npos) {
      words.remove_prefix(colon + 2);
    } else if (const std::size_t bracket = words.find("] "); bracket != std::string_view::npos) {
      words.remove_prefix(bracket + 2);
    }
    refuse_at(at, "is not JSON: {}", printable(words, 200));
    return false;
  }

 private:
  static constexpr bool kSorted = std::is_same_v<Json, nlohmann::json>;

  struct Level {
    Json value;
    std::string key;             // of the member that is being read
    std::set<std::string> keys;  // only where looking up in `value` is linear
  };

  template <class... Args>
  [[noreturn]] void refuse_at(std::size_t at, fmt::format_string<Args...> format,
                              Args&&... args) const {
    fail(ErrorKind::unreadable, "{}: byte {}: {}", name_, at,
         fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    const auto read = static_cast<std::size_t>(seen_ - text_.data());
    refuse_at(read == 0 ? 0 : read - 1, format, std::forward<Args>(args)...);
  }

  void count() {
    if (++values_ > limits_.values) refuse("there are more than {} values", limits_.values);
  }

  bool take(Json value) {
    count();
    put(std::move(value));
    return true;
  }

  bool open(Json container) {
    count();
    if (std::ssize(levels_) >= limits_.depth) {
      refuse("arrays and objects are nested more than {} deep", limits_.depth);
    }
    levels_.push_back({std::move(container), {}, {}});
    return true;
  }

  bool close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    put(std::move(value));
    return true;
  }

  void put(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else if constexpr (kSorted) {
      level.value.emplace(std::move(level.key), std::move(value));
    } else {
      // Into the vector that is the object: its own emplace() walks over all keys.
      auto& members = level.value.template get_ref<typename Json::object_t&>();
      static_cast<typename Json::object_t::Container&>(members).emplace_back(std::move(level.key),
                                                                             std::move(value));
    }
  }

  std::string_view text_;
  std::string name_;
  JsonLimits limits_;
  const char* seen_;
  std::size_t values_ = 0;
  std::vector<Level> levels_;
  Json root_;
};

template <class Json>
Json parse(std::string_view text, std::string_view name, const JsonLimits& limits) {
  const std::string shown = printable(name, 1024);
  if (text.size() > limits.bytes) {
    fail(ErrorKind::unreadable, "{}: has {} bytes of JSON; at most {} are read", shown, text.size(),
         limits.bytes);
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    fail(ErrorKind::unreadable, "{}: byte 0: is empty, not JSON", shown);
  }
  return Builder<Json>(text, shown, limits).build();
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view name, const JsonLimits& limits) {
  return parse<nlohmann::json>(text, name, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view name,
                                          const JsonLimits& limits) {
  return parse<nlohmann::ordered_json>(text, name, limits);
}

}  // namespace regard
