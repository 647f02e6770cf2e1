// The cross, backwards: gradients of q, k, v and of every captured array against the chain rule in
// double precision. Rows near a kink have no part in the loss.
//
//   REGARD_CASE=1.0.4.0.0.0.2.1.3.1.2.1:17 attention_cross_backward_test     one case again
#include "cross_backward.h"

#include "cross_run.h"

namespace regard {
namespace {

using namespace regard::testing;

std::string backward_complaint(const Case& c) {
  if (c.is_paged()) return "";  // gradients go to arrays
  CrossProblem p(c);
  const Reference forward = p.reference();
  leave_out_kinks(p, forward);
  return compare_backward(p, run_backward(p), forward);
}

TEST(CrossBackward, EveryTwoOptionsTogether) { expect_every_two(backward_complaint); }
TEST(CrossBackward, RandomCombinations) { expect_random(4, backward_complaint); }

}  // namespace
}  // namespace regard
