// ByteReader: walks the bytes of a file from front to back and never past the end. It knows what
// is being read, so that every refusal names the file and the place.
#pragma once

#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/printable.h"
#include "regard/error.h"

namespace regard {

static_assert(std::endian::native == std::endian::little, "files are read in place");

class ByteReader {
 public:
  // `file` is shown in messages as it is. Both must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  std::size_t position() const noexcept { return position_; }
  std::size_t left() const noexcept { return bytes_.size() - position_; }

  // From here on messages speak of `kind` number `index`, and of its name once that is known.
  void enter(std::string_view kind, uint64_t index) noexcept {
    kind_ = kind;
    index_ = index;
    name_ = {};
  }
  void name(std::string_view name) noexcept { name_ = name; }
  void leave() noexcept { kind_ = {}; }

  template <class T>
  T read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > left()) {
      refuse(
          "{} takes {} bytes from byte {} on, and the file has {} left; it is cut short or "
          "damaged, download it again",
          what, count, position_, left());
    }
    const std::span<const std::byte> taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  // A length of 64 bits, then that many bytes.
  std::string_view string(std::string_view what) {
    const auto taken = take(read<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(
        ErrorKind::unreadable,
        fmt::format("{}: {}{}", file_, place(), fmt::format(format, std::forward<Args>(args)...)));
  }

 private:
  std::string place() const {
    if (kind_.empty()) return {};
    if (name_.empty()) return fmt::format("{} number {}: ", kind_, index_);
    return fmt::format("{} \"{}\": ", kind_, printable(name_));
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::size_t position_ = 0;
  std::string_view kind_;
  uint64_t index_ = 0;
  std::string_view name_;
};

}  // namespace regard
