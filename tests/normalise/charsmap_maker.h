// Makes charsmaps for tests: a double array that is laid out in the simplest way, and its texts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace regard::normalise {

class CharsmapMaker {
 public:
  explicit CharsmapMaker(const std::map<std::string, std::string>& pairs) {
    units_.resize(256);
    add("", 0, pairs);
  }

  std::string bytes() const {
    std::string out = u32(static_cast<uint32_t>(4 * units_.size()));
    for (const uint32_t unit : units_) out += u32(unit);
    return out + texts_;
  }

  static std::string u32(uint32_t value) {
    std::string out;
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xFF);
    return out;
  }

 private:
  // Each node gets a block of 256 units for its children: base ^ label never meets another's.
  void add(const std::string& prefix, size_t place,
           const std::map<std::string, std::string>& pairs) {
    const size_t base = prefix.empty() ? 0 : units_.size();
    if (!prefix.empty()) units_.resize(base + 256, kUnused);
    // base = place ^ offset, so the low byte of the place is in the offset: not a multiple of 256.
    units_[place] |= static_cast<uint32_t>(place ^ base) << 10;
    std::map<unsigned char, bool> children;
    for (auto pair = pairs.lower_bound(prefix);
         pair != pairs.end() && pair->first.starts_with(prefix); ++pair) {
      if (pair->first == prefix && !prefix.empty()) {
        units_[place] |= 1u << 8;
        units_[base] = 1u << 31 | static_cast<uint32_t>(texts_.size());
        texts_ += pair->second + '\0';
      } else {
        children[static_cast<unsigned char>(pair->first[prefix.size()])] = true;
      }
    }
    for (const auto& [label, unused] : children) {
      units_[base ^ label] = label;
      add(prefix + static_cast<char>(label), base ^ label, pairs);
    }
  }

  static constexpr uint32_t kUnused = 1u << 31 | 1;  // a value: no node
  std::vector<uint32_t> units_;
  std::string texts_;
};

}  // namespace regard::normalise
