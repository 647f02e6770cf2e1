// PagePool: which pages of a KvCache are free. The last one given back is the next one taken, so
// that a running batch keeps to memory it has touched; in steady state nothing is allocated.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/check.h"

namespace regard {

using PageId = int32_t;

class PagePool {
 public:
  explicit PagePool(int64_t pages) {
    require(pages >= 0 && pages <= INT32_MAX, "pages: {} is not in 0 .. {}", pages, INT32_MAX);
    free_.reserve(static_cast<std::size_t>(pages));
    for (int64_t page = pages; page-- > 0;) free_.push_back(static_cast<PageId>(page));
  }

  // Nothing when all pages are in use.
  std::optional<PageId> take() noexcept {
    if (free_.empty()) return std::nullopt;
    const PageId page = free_.back();
    free_.pop_back();
    return page;
  }

  // Requires: page was taken from this pool and not given back since.
  void give_back(PageId page) noexcept { free_.push_back(page); }

  int64_t free_pages() const noexcept { return static_cast<int64_t>(free_.size()); }

 private:
  std::vector<PageId> free_;
};

}  // namespace regard
