#include "runtime/pages.h"

#include <gtest/gtest.h>

#include <set>

namespace regard {
namespace {

TEST(PagePool, HandsOutEveryPageOnceAndThenNothing) {
  PagePool pool(5);
  std::set<PageId> taken;
  while (const auto page = pool.take()) taken.insert(*page);
  EXPECT_EQ(taken, (std::set<PageId>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.free_pages(), 0);
  pool.give_back(3);
  EXPECT_EQ(pool.take(), 3);
  EXPECT_EQ(pool.take(), std::nullopt);
}

TEST(PagePool, RefusesMorePagesThanIdsCanName) {
  EXPECT_THROW(PagePool(-1), Error);
  EXPECT_THROW(PagePool(int64_t{1} << 31), Error);
}

}  // namespace
}  // namespace regard
