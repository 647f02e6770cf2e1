// The cross, backwards: gradients of q, k, v and of every captured array against the chain rule in
// double precision. Rows near a kink have no part in the loss.
//
//   REGARD_CASE=1.0.4.0.0.0.2.1.3.1.2.1:17 attention_cross_backward_test     one case again
#include "cross_backward.h"

#include <fmt/format.h>

#include <map>

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

// What the comparison lets through is measured with terms before they cancel. It must not be so
// much that a wrong kernel passes: of f32 and f64 a gradient that is off by one part in ten
// thousand, of f16 and bf16 by one in fifty.
TEST(CrossBackward, AGradientThatIsALittleOffFails) {
  if (!case_of_environment().empty()) return;
  Random random(5);
  std::map<std::string, std::pair<int, int>> caught;  // by option: how many were seen, of how many
  for (int n = 0; n < 400; ++n) {
    const Case c = random_case(random);
    if (c.is_paged()) continue;
    CrossProblem p(c);
    const Reference forward = p.reference();
    leave_out_kinks(p, forward);
    const char* const names[] = {"dq", "dk", "dv"};
    for (int which = 0; which < 3; ++which) {
      BackwardResult r = run_backward(p);
      LaidOut& x = which == 0 ? r.dq : which == 1 ? r.dk : r.dv;
      const DType dtype = x.view().dtype;
      const double factor = dtype == DType::f16 || dtype == DType::bf16 ? 1.02 : 1.0001;
      bool any = false;
      x.for_each([&](int64_t a, int64_t b, int64_t t, int64_t d) {
        const double is = x.get(a, b, t, d);
        any = any || is != 0;
        x.set(a, b, t, d, is * factor);
      });
      if (!any) continue;
      const bool fails = !compare_backward(p, r, forward).empty();
      for (const Axis axis : {Axis::normaliser, Axis::similarity, Axis::score, Axis::weight}) {
        auto& [seen, all] = caught[fmt::format("{} {} {}", names[which], static_cast<int>(axis),
                                               c.choice[static_cast<std::size_t>(axis)])];
        seen += fails ? 1 : 0;
        ++all;
      }
    }
  }
  int seen = 0, all = 0;
  for (const auto& [option, count] : caught) {
    seen += count.first, all += count.second;
    // What is missed are rows whose terms cancel: with one key, say.
    EXPECT_GE(2 * count.first, count.second) << option << ": " << count.first;
  }
  EXPECT_GT(all, 1000);
  EXPECT_GE(seen, all * 9 / 10);
}

}  // namespace
}  // namespace regard
