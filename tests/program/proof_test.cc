// Tiles of 48 rows by 128 keys: wherever a mask of the library leaves one empty or full, its bounds
// prove it; and what a summary says of a box of an array is what lies in it.
#include <gtest/gtest.h>

#include <random>

#include "program/summary.h"
#include "regard/program.h"

namespace regard {
namespace {

using namespace regard::program;

constexpr int kPositions = 600, kRows = 48, kKeys = 128;

// first_row: i of the call's row 0. missed: tiles that may stay unproved, where two parts of the
// mask forbid each other's keys pair by pair.
void expect_proofs(const Expr& mask, int first_row = 0, int missed = 0) {
  SCOPED_TRACE(to_string(mask).substr(0, 200));
  Evaluator evaluate_at(mask);
  Bounds bounds(mask);
  bounds.read_arrays();
  int proved = 0;
  for (int i = first_row; i < kPositions; i += kRows) {
    for (int j = 0; j < kPositions; j += kKeys) {
      const int last_i = std::min(kPositions, i + kRows) - 1;
      const int last_j = std::min(kPositions, j + kKeys) - 1;
      bool any = false, all = true;
      for (int a = i; a <= last_i; ++a) {
        for (int b = j; b <= last_j; ++b) {
          const bool allowed = evaluate_at({.i = a, .j = b, .row = a - first_row}) == 1;
          any |= allowed;
          all &= allowed;
        }
      }
      const Interval found = bounds({.i = {i, last_i},
                                     .j = {j, last_j},
                                     .row = {i - first_row, last_i - first_row},
                                     .i_minus_row = first_row});
      ASSERT_TRUE(all || !found.always_true()) << i << " " << j;
      ASSERT_TRUE(!any || !found.always_false()) << i << " " << j;
      const bool proof = found.always_true() || found.always_false();
      proved += proof ? 1 : 0;
      missed -= (all || !any) && !proof ? 1 : 0;
    }
  }
  EXPECT_GT(proved, 0);
  EXPECT_EQ(missed, 0);
}

template <class Value>
Array integers(const char* name, const Value& value) {
  std::vector<int32_t> numbers;
  for (int k = 0; k < kPositions; ++k) numbers.push_back(value(k));
  return Array::of(name, numbers);
}

TEST(Proofs, OfBandsAndPrefixes) {
  expect_proofs(causal_mask());
  expect_proofs(window(100, 20));
  expect_proofs(causal_mask() & window(64, 0));
  expect_proofs(prefix(200) | causal_mask());
  expect_proofs(causal_mask() ^ prefix(100));
  expect_proofs(abs(query() - key()) < 90);
  expect_proofs(window(50, 0) | (key() < 64));
  expect_proofs(key() <= row(), 100);
  expect_proofs(lengths(Array::of("keys", std::vector<int32_t>{333})) & causal_mask());
  expect_proofs(left_padding(Array::of("pads", std::vector<int32_t>{130})) & causal_mask());
}

TEST(Proofs, OfDocuments) {
  const Array sorted = integers("sorted", [](int k) { return k / 70; });
  const Array unsorted = integers("unsorted", [](int k) { return k / 64 * 37 % 11; });
  const Array few = integers("few", [](int k) { return k / 100 * 7 % 5; });
  const Array negative =
      integers("negative", [](int k) { return k / 100 % 2 == 0 ? -1 - k / 100 : 5; });
  for (const Array& ids : {sorted, unsorted, few, negative}) {
    expect_proofs(documents(ids));
    expect_proofs(documents(ids) & causal_mask());
    expect_proofs(~documents(ids));
    expect_proofs(documents(ids) | window(30, 0));
  }
}

TEST(Proofs, OfNeighbourhoods) {
  expect_proofs(natten(kPositions, 33));
  expect_proofs(natten(kPositions, 33, 2));
  expect_proofs(natten_2d(20, 30, 7, 5), 0, 1);
  expect_proofs(dilated(4) & window(64, 0));
  expect_proofs(chunk(100));
  expect_proofs(chunk(128) & causal_mask());
}

TEST(Proofs, OfBooleanArrays) {
  std::vector<uint8_t> flags(kPositions * kPositions), blocks(64 * 64);
  for (int i = 0; i < kPositions; ++i) {
    for (int j = 0; j < kPositions; ++j) {
      flags[static_cast<std::size_t>(i * kPositions + j)] = (j / 150 + i / 101) % 3 == 0 ? 9 : 0;
    }
  }
  for (std::size_t k = 0; k < blocks.size(); ++k) blocks[k] = k % 5 < 2 ? 1 : 0;
  expect_proofs(
      allowed(Array("flags", View<const uint8_t, 2>(flags.data(), {kPositions, kPositions}))));
  const View<const uint8_t, 2> view(blocks.data(), {64, 64});
  expect_proofs(block_sparse(Array("blocks", view), 48, 128));
  expect_proofs(block_sparse(Array("blocks", view), 100, 128));
  expect_proofs(block_sparse(Array("blocks", view), 100, 300) & causal_mask(), 0, 1);
}

TEST(Proofs, OfTrees) {
  constexpr int kWords = (kPositions + 31) / 32;
  std::vector<int32_t> bits(kPositions * kWords);
  for (int r = 0; r < kPositions; ++r) {
    for (int t = 0; t <= r; ++t) {
      auto& word = bits[static_cast<std::size_t>(r * kWords + t / 32)];
      if (t == r || t < 200)
        word = static_cast<int32_t>(static_cast<uint32_t>(word) | 1u << t % 32);
    }
  }
  const Array tree = Array::of("tree", bits, {kPositions, kWords});
  expect_proofs(tree_bits(tree, 0));
  // Drafts begin at the call's first row; a word of 32 bits is looked at as a whole.
  expect_proofs(tree_bits(tree), 200, 1);
}

// ---- summaries ----

int32_t at(const Array& array, const int64_t* index) {
  int64_t offset = 0;
  for (int axis = 0; axis < array.rank(); ++axis) offset += index[axis] * array.stride(axis);
  if (array.type() == ElementType::i32) return static_cast<const int32_t*>(array.data())[offset];
  return static_cast<const uint8_t*>(array.data())[offset] != 0 ? 1 : 0;
}

Extremes read_box(const Array& array, const int64_t* first, const int64_t* last) {
  Extremes found;
  int64_t index[Array::kMaxRank];
  std::copy(first, first + array.rank(), index);
  for (;;) {
    const int32_t value = at(array, index);
    found.lo = std::min(found.lo, value);
    found.hi = std::max(found.hi, value);
    found.residues |= uint64_t{1} << (value & 63);
    int axis = array.rank() - 1;
    while (axis >= 0 && index[axis] == last[axis]) {
      index[axis] = first[axis];
      --axis;
    }
    if (axis < 0) return found;
    ++index[axis];
  }
}

TEST(Summary, HoldsWhatLiesInABox) {
  std::mt19937 random(1);
  std::vector<int32_t> numbers(40000);
  std::vector<uint8_t> bytes(40000);
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    numbers[k] = static_cast<int32_t>(k / 90 * 7 % 400) - 100;
    bytes[k] = k / 70 % 3 == 0 ? static_cast<uint8_t>(k % 255 + 1) : 0;
  }
  const auto pick = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  int exact = 0;
  for (int n = 0; n < 3000; ++n) {
    SCOPED_TRACE(n);
    const int rank = 1 + n % 4;
    const bool integer = n % 3 != 0;
    int64_t shape[4], strides[4], step = 1, offset = 0;
    for (int axis = rank; axis-- > 0;) {
      shape[axis] = rank == 1 ? 1 + pick(5000) : 1 + pick(axis + 2 < rank ? 3 : 90);
      strides[axis] = step;
      step *= shape[axis];
      const int64_t turn = pick(8);
      if (turn == 0) strides[axis] = 0;
      if (turn == 1) offset += (shape[axis] - 1) * strides[axis], strides[axis] = -strides[axis];
    }
    ASSERT_LE(step, 40000 * 2);
    if (step > 40000) continue;
    const void* const data = integer ? static_cast<const void*>(numbers.data() + offset)
                                     : static_cast<const void*>(bytes.data() + offset);
    const auto count = static_cast<std::size_t>(rank);
    const Array array("a", integer ? ElementType::i32 : ElementType::boolean, data,
                      std::span(shape, count), std::span(strides, count));
    Summary summary(array);
    summary.read();
    for (int k = 0; k < 5; ++k) {
      int64_t first[4] = {}, last[4] = {};
      for (int axis = 0; axis < rank; ++axis) {
        first[axis] = pick(shape[axis]);
        last[axis] = first[axis] + pick(shape[axis] - first[axis]);
      }
      const Extremes found = summary.of(first, last), truth = read_box(array, first, last);
      ASSERT_LE(found.lo, truth.lo);
      ASSERT_GE(found.hi, truth.hi);
      ASSERT_EQ(truth.residues & ~found.residues, 0u);
      const bool same =
          found.lo == truth.lo && found.hi == truth.hi && found.residues == truth.residues;
      exact += same ? 1 : 0;
      EXPECT_TRUE(same || rank > 1);  // any run is exact
    }
  }
  EXPECT_GT(exact, 5000);
}

}  // namespace
}  // namespace regard
