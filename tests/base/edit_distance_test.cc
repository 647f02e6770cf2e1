// Distances of names, counted by hand.
#include "base/edit_distance.h"

#include <gtest/gtest.h>

namespace regard {
namespace {

TEST(EditDistance, CountsWhatIsPutInTakenOutAndReplaced) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("layers", "layers"), 0u);
  EXPECT_EQ(edit_distance("layer", "layers"), 1u);
  EXPECT_EQ(edit_distance("layers", "layer"), 1u);
  EXPECT_EQ(edit_distance("lasers", "layers"), 1u);
  EXPECT_EQ(edit_distance("modle", "model"), 2u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
}

}  // namespace
}  // namespace regard
