#include "chat/variables.h"

#include <algorithm>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace regard::chat {
namespace {

// Called by the parser, which does not recurse, with one piece of the text after the other.
class Reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Reader(Run& run) : run_(run) {}

  bool null() override { return add(none()); }
  bool boolean(bool value) override { return add(regard::chat::boolean(value)); }
  bool number_integer(int64_t value) override { return add(integer(value)); }
  bool number_unsigned(uint64_t value) override {
    if (value > INT64_MAX) {
      regard::fail(ErrorKind::invalid_argument,
                   "chat variables: {} is beyond whole numbers of 64 bits", value);
    }
    return add(integer(static_cast<int64_t>(value)));
  }
  bool number_float(double value, const std::string&) override { return add(real(value)); }
  bool binary(nlohmann::json::binary_t&) override { return false; }

  bool string(std::string& value) override {
    const bool own = open_.size() <= 1 || (key_is("role") && is_plain_word(value));
    return add(own ? text(run_, value) : user_text(run_, value));
  }

  bool start_object(std::size_t) override { return start(true); }
  bool start_array(std::size_t) override {
    if (open_.empty()) no_object();
    return start(false);
  }

  bool key(std::string& name) override {
    open_.back().key = open_.size() == 1 ? text(run_, name) : user_text(run_, name);
    return true;
  }

  bool end_object() override {
    const Open all = std::move(open_.back());
    open_.pop_back();
    if (open_.empty()) {
      for (const Entry& entry : all.entries) {
        result_.emplace_back(entry.key.text(), entry.value);
      }
      return true;
    }
    return add(dict(run_, all.entries));
  }

  bool end_array() override {
    const Open all = std::move(open_.back());
    open_.pop_back();
    return add(sequence(run_, SequenceKind::list, all.values));
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    std::string_view what = error.what();
    if (const std::size_t at = what.find("] "); at != std::string_view::npos) {
      what.remove_prefix(at + 2);
    }
    regard::fail(ErrorKind::invalid_argument, "chat variables: no JSON at byte {}: {}", position,
                 shown(what));
  }

  Variables take() { return std::move(result_); }

 private:
  struct Open {
    bool object;
    Value key;
    std::vector<Entry> entries;
    std::vector<Value> values;
  };

  [[noreturn]] static void no_object() {
    regard::fail(ErrorKind::invalid_argument, "chat variables: the JSON is no object");
  }

  bool start(bool object) {
    if (std::ssize(open_) >= run_.budget().depth) {
      regard::fail(ErrorKind::invalid_argument, "chat variables: nested deeper than {} levels",
                   run_.budget().depth);
    }
    open_.push_back({object, {}, {}, {}});
    return true;
  }

  bool key_is(std::string_view name) const {
    return open_.back().object && open_.back().key.text() == name;
  }

  bool add(const Value& value) {
    if (open_.empty()) no_object();
    run_.step();
    Open& last = open_.back();
    if (last.object) {
      last.entries.push_back({last.key, value});
    } else {
      last.values.push_back(value);
    }
    return true;
  }

  Run& run_;
  std::vector<Open> open_;
  Variables result_;
};

}  // namespace

bool is_plain_word(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

Variables read_variables(Run& run, std::string_view json) {
  Reader reader(run);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

}  // namespace regard::chat
