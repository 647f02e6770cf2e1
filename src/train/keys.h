// The one table of all keys of a training configuration.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "train/config.h"

namespace regard::train {

enum class Resumed : uint8_t { same, free };  // may a resumed run change it?

// Is told every key with what its value may be and where it lies.
class KeyVisitor {
 public:
  virtual ~KeyVisitor() = default;
  virtual void section(std::string_view name, std::string_view meaning) = 0;
  virtual void whole(std::string_view key, int64_t& value, int64_t least, int64_t most,
                     std::string_view meaning, Resumed resumed = Resumed::same) = 0;
  virtual void number(std::string_view key, double& value, double least, double most,
                      std::string_view meaning, Resumed resumed = Resumed::same) = 0;
  virtual void flag(std::string_view key, bool& value, std::string_view meaning,
                    Resumed resumed = Resumed::same) = 0;
  virtual void text(std::string_view key, std::string& value, std::string_view meaning,
                    Resumed resumed = Resumed::same) = 0;
  virtual void texts(std::string_view key, std::vector<std::string>& value,
                     std::string_view meaning, Resumed resumed = Resumed::same) = 0;
  virtual void choice(std::string_view key, std::string& value,
                      std::initializer_list<std::string_view> choices, std::string_view meaning,
                      Resumed resumed = Resumed::same) = 0;
};

void visit_keys(TrainConfig& config, KeyVisitor& visitor);

}  // namespace regard::train
