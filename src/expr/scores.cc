// Score programs that papers use.
#include <bit>

#include "base/check.h"
#include "expr/broadcast.h"
#include "simd/f64_math.h"

namespace regard::program {
namespace {

void check_reals(const char* call, const Array& array, int lowest_rank, int highest_rank) {
  require(array.type() == ElementType::f32, "{}: {} does not hold reals", call, array.name());
  require(array.rank() >= lowest_rank && array.rank() <= highest_rank,
          "{}: {} has rank {}, not {} to {}", call, array.name(), array.rank(), lowest_rank,
          highest_rank);
}

}  // namespace

Expr alibi(const Array& slopes, const Expr& s) {
  check_reals("alibi", slopes, 1, 1);
  return s + slopes(head()) * (key() - query());
}

std::vector<float> alibi_slopes(int heads) {
  require(heads >= 1, "alibi_slopes: heads is {}", heads);
  // 2^(-8 k / n), k = 1 .. n
  const auto geometric = [](int n) {
    const std::vector<double> powers = f64::falling_powers(256.0, n);
    std::vector<float> slopes;
    for (int k = 1; k < n; ++k) slopes.push_back(static_cast<float>(powers[k]));
    slopes.push_back(0x1p-8f);
    return slopes;
  };
  const int power = static_cast<int>(std::bit_floor(static_cast<unsigned>(heads)));
  std::vector<float> slopes = geometric(power);
  if (power == heads) return slopes;
  const std::vector<float> finer = geometric(2 * power);
  for (int k = 0; power + k < heads; ++k) slopes.push_back(finer[2 * k]);
  return slopes;
}

std::vector<int32_t> t5_buckets(int buckets, int max_distance, bool bidirectional) {
  const int of_direction = bidirectional ? buckets / 2 : buckets;
  const int exact = of_direction / 2;
  require(exact >= 1 && max_distance > exact && max_distance <= 1 << 24,
          "t5_bias: {} buckets and a max_distance of {}", buckets, max_distance);
  // Bucket exact + k begins where ln(n / exact) / ln(max_distance / exact) reaches
  // k / (of_direction - exact). Where that is a whole distance, rounding must not lose it.
  const double span = f64::log(static_cast<double>(max_distance) / exact);
  const auto bucket_of = [&](int n) {
    if (n < exact) return n;
    const double share = f64::log(static_cast<double>(n) / exact) / span;
    const auto beyond = static_cast<int>(share * (of_direction - exact) + 1e-9);
    return std::min(exact + beyond, of_direction - 1);
  };
  std::vector<int32_t> table;
  for (int ahead = -max_distance; ahead <= max_distance; ++ahead) {
    if (bidirectional) {
      table.push_back(bucket_of(ahead < 0 ? -ahead : ahead) + (ahead > 0 ? of_direction : 0));
    } else {
      table.push_back(bucket_of(ahead < 0 ? -ahead : 0));
    }
  }
  return table;
}

Expr t5_bias(const Array& table, int buckets, int max_distance, bool bidirectional, const Expr& s) {
  check_reals("t5_bias", table, 2, 2);
  require(table.shape(0) == buckets, "t5_bias: {} has {} rows for {} buckets", table.name(),
          table.shape(0), buckets);
  const Array bucket = Array::of("t5_bucket", t5_buckets(buckets, max_distance, bidirectional));
  const Expr ahead = max(min(key() - query(), max_distance), -max_distance);
  return s + table(bucket(ahead + max_distance), head());
}

Expr relative_position(const Array& table, const Expr& s) {
  check_reals("relative_position", table, 1, 2);
  const int64_t entries = table.shape(table.rank() - 1);
  require(entries % 2 == 1, "relative_position: {} has {} distances, which is even", table.name(),
          entries);
  const Expr m(entries / 2);
  const Expr at = max(min(query() - key(), m), -m) + m;
  return s + (table.rank() == 1 ? table(at) : table(head(), at));
}

Expr softcap(const Expr& cap, const Expr& s) { return tanh(s / cap) * cap; }

Expr additive_bias(const Array& bias, const Expr& s) {
  check_reals("additive_bias", bias, 1, Array::kMaxRank);
  return s + at_last_axes(bias, {batch(), head(), row(), key()});
}

}  // namespace regard::program
