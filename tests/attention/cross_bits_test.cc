// The same bits over the cross: whatever the threads, the target, the page size, whether a sequence
// is alone or in a batch, and whether a row is alone or in its block. 1,000 random cases.
//
//   REGARD_CASE=1.0.4.0.0.0.2.1.3.1.2.1:17 attention_cross_bits_test     one case again
#include "cross_backward.h"
#include "cross_run.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr int kCases = 1000;

bool same_numbers(const std::vector<double>& a, const std::vector<double>& b) {
  const auto same = [](double x, double y) {
    return (std::isnan(x) && std::isnan(y)) || (x == y && std::signbit(x) == std::signbit(y));
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

bool same_results(const ForwardResult& a, const ForwardResult& b) {
  return same_numbers(a.out.numbers(), b.out.numbers()) && same_bits(a.lse, b.lse) &&
         same_bits(a.entropy, b.entropy) && same_bits(a.key_sums, b.key_sums) &&
         same_bits(a.top_weights, b.top_weights) && a.top_keys == b.top_keys &&
         same_bits(a.similarities, b.similarities) && same_bits(a.scores, b.scores) &&
         same_bits(a.masked, b.masked) && same_bits(a.weights, b.weights);
}

// Does a program of the case read such a leaf?
bool reads(const CrossProblem& p, const std::string& leaf) {
  for (const Expr* expr : {&p.options.mask, &p.options.score, &p.options.weight}) {
    if (!expr->empty() && to_string(*expr).find(leaf) != std::string::npos) return true;
  }
  return false;
}

// out of rows first .. of a segment, of all heads.
std::vector<double> rows_of(const LaidOut& out, int64_t slab, int64_t first, int64_t rows) {
  std::vector<double> numbers;
  out.for_each([&](int64_t a, int64_t b, int64_t c, int64_t d) {
    if (a == slab && b >= first && b < first + rows) numbers.push_back(out.get(a, b, c, d));
  });
  return numbers;
}

// The segment by itself; rows: only its last rows.
std::vector<double> run_alone(const CrossProblem& p, std::size_t n, int64_t rows) {
  Segment segment = p.segments[n];
  const int64_t skipped = segment.rows - rows;
  segment.sequence = segment.sequence.value_or(static_cast<int64_t>(n));
  segment.position = segment.position.value_or(segment.keys - segment.rows) + skipped;
  segment.first_row += skipped;
  segment.rows = rows;
  const int64_t slab = std::exchange(segment.slab, 0);
  const auto of_slab = [&](const OutputView<4>& a) {
    OutputView<4> one = a;
    one.data = static_cast<std::byte*>(a.data) + slab * a.strides[0] * info(a.dtype).block_bytes;
    return slab0(one);
  };
  const auto& q = p.q.view().shape;
  LaidOut out({q[0], q[1], q[2], p.d.dim_v}, p.dtypes.out, p.layout, true);
  attention(of_slab(p.q.view()), of_slab(p.k.view()), of_slab(p.v.view()), of_slab(out.view()),
            {&segment, 1}, p.options);
  return rows_of(out, slab, segment.first_row, rows);
}

std::string forward_complaint(const Case& c) {
  CrossProblem p(c);
  p.options.threads = 1;
  const ForwardResult plain = run_forward(p, p.dtypes.out);
  p.options.threads = static_cast<int>(p.random.between(2, 5));
  if (!same_results(run_forward(p, p.dtypes.out), plain)) return "threads change bits";
  const ScopedTarget other(p.random.pick(available_targets()));
  if (!same_results(run_forward(p, p.dtypes.out), plain)) {
    return "target " + std::string(name(active_target())) + " changes bits";
  }
  if (c.is_paged()) {
    p.page_keys = p.random.one_in(2) ? 32 : 64;
    return same_results(run_forward(p, p.dtypes.out), plain) ? "" : "the page size changes bits";
  }
  if (reads(p, "batch")) return "";
  for (std::size_t n = 0; n < p.segments.size(); ++n) {
    const Segment& s = p.segments[n];
    if (!same_numbers(run_alone(p, n, s.rows), rows_of(plain.out, s.slab, s.first_row, s.rows))) {
      return "a sequence alone has other bits than in its batch";
    }
    if (s.rows < 2 || reads(p, "row")) continue;
    const int64_t few = p.random.between(1, s.rows - 1);
    if (!same_numbers(run_alone(p, n, few),
                      rows_of(plain.out, s.slab, s.first_row + s.rows - few, few))) {
      return "rows alone have other bits than in their block";
    }
  }
  return "";
}

std::string backward_complaint(const Case& c) {
  if (c.is_paged()) return "";
  CrossProblem p(c);
  p.options.threads = 1;
  const auto same = [](const BackwardResult& a, const BackwardResult& b) {
    bool equal = same_numbers(a.dq.numbers(), b.dq.numbers()) &&
                 same_numbers(a.dk.numbers(), b.dk.numbers()) &&
                 same_numbers(a.dv.numbers(), b.dv.numbers());
    for (std::size_t n = 0; n < a.arrays.size(); ++n) {
      equal = equal && same_bits(a.arrays[n], b.arrays[n]);
    }
    return equal;
  };
  const BackwardResult plain = run_backward(p);
  p.options.threads = static_cast<int>(p.random.between(2, 5));
  if (!same(run_backward(p), plain)) return "threads change bits";
  const ScopedTarget other(p.random.pick(available_targets()));
  if (!same(run_backward(p), plain)) {
    return "target " + std::string(name(active_target())) + " changes bits";
  }
  const bool ragged = c.form() == Form::ragged || c.form() == Form::decode;
  if (!ragged || reads(p, "batch")) return "";
  const std::vector<Segment> all = p.segments;
  for (std::size_t n = 0; n < all.size(); ++n) {
    Segment alone = all[n];
    alone.sequence = alone.sequence.value_or(static_cast<int64_t>(n));
    p.segments = {alone};
    const BackwardResult r = run_backward(p);
    const auto same_part = [&](const LaidOut& a, const LaidOut& b, int64_t first, int64_t count) {
      return same_numbers(rows_of(a, 0, first, count), rows_of(b, 0, first, count));
    };
    if (!same_part(r.dq, plain.dq, alone.first_row, alone.rows) ||
        !same_part(r.dk, plain.dk, alone.first_key, alone.keys) ||
        !same_part(r.dv, plain.dv, alone.first_key, alone.keys)) {
      return "a sequence alone has other bits than in its batch";
    }
  }
  return "";
}

std::vector<Case> cases(uint64_t seed) {
  if (!case_of_environment().empty()) return case_of_environment();
  Random random(seed);
  std::vector<Case> all;
  for (int n = 0; n < kCases; ++n) all.push_back(random_case(random));
  return all;
}

TEST(CrossBits, ForwardIsTheSameHoweverItIsComputed) { expect_all(cases(6), forward_complaint); }
TEST(CrossBits, BackwardIsTheSameHoweverItIsComputed) { expect_all(cases(8), backward_complaint); }

}  // namespace
}  // namespace regard
