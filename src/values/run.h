// Run: one rendering of a template: what it may still cost, the memory its values live in, and the
// line it is at.
//
// Values are never freed one by one: they live until the run ends, and what they take together is
// bounded. So a value is a plain word, cycles do no harm, and nothing is torn down recursively.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "regard/chat.h"

namespace regard::chat {

class Run {
 public:
  // name: of the template, for messages; it must outlive the run.
  Run(const ChatBudget& budget, std::string_view name, const DateTime& now);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Throws Error(invalid_argument): "name, line 7: message".
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    regard::fail(ErrorKind::invalid_argument, "{}, line {}: {}", name_, line,
                 fmt::format(format, std::forward<Args>(args)...));
  }

  // The same as Error(unreadable): the template costs more than its budget, whoever runs it.
  template <class... Args>
  [[noreturn]] void exceed(fmt::format_string<Args...> format, Args&&... args) const {
    regard::fail(ErrorKind::unreadable, "{}, line {}: {}", name_, line,
                 fmt::format(format, std::forward<Args>(args)...));
  }

  // Pays for work: one for each expression and element.
  void step(int64_t count = 1) {
    if ((steps_ -= count) < 0) out_of_steps();
  }
  // Pays for reading or writing text.
  void read(int64_t bytes) { step(bytes / 64); }

  // Memory for `count` values of a plain type, not initialised. Pays for it.
  template <class T>
  T* make(int64_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    return static_cast<T*>(allocate(count, sizeof(T), alignof(T)));
  }
  // Throws unless so many bytes could be had.
  void room(int64_t bytes) const {
    if (bytes > memory_) out_of_memory();
  }

  const ChatBudget& budget() const noexcept { return budget_; }
  const DateTime& now() const noexcept { return now_; }

  int line = 1;  // of the template

  // One level deeper, for as long as it lives.
  class Deeper {
   public:
    explicit Deeper(Run& run) : run_(run) {
      if (++run_.depth_ > run_.budget_.depth) run_.too_deep();
    }
    ~Deeper() { --run_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Run& run_;
  };

 private:
  void* allocate(int64_t count, std::size_t size, std::size_t alignment);
  void* allocate_here(std::size_t bytes, std::size_t skip) noexcept;
  [[noreturn]] void out_of_steps() const;
  [[noreturn]] void out_of_memory() const;
  [[noreturn]] void too_deep();

  ChatBudget budget_;
  std::string_view name_;
  DateTime now_;
  int64_t steps_;
  int64_t memory_;
  int64_t depth_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::byte* free_ = nullptr;  // of the last block
  std::size_t free_bytes_ = 0;
};

}  // namespace regard::chat
