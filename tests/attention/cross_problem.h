// A case made real: arrays in its layout and dtype, segments, options with their captured arrays.
#pragma once

#include <memory>
#include <optional>

#include "cross_case.h"
#include "reference/reference.h"
#include "reference/similarity.h"

namespace regard::testing {

inline Dimensions dimensions_of(const Case& c, Random& random) {
  const SizeRange& size = kSizes[static_cast<std::size_t>(c.at(Axis::size))];
  const HeadCounts& heads = kHeads[static_cast<std::size_t>(c.at(Axis::heads))];
  const Dims& dims = kDims[static_cast<std::size_t>(c.at(Axis::dims))];
  Dimensions d{.rows = random.between(size.least_rows, size.most_rows),
               .keys = random.between(size.least_keys, size.most_keys),
               .heads = heads.heads,
               .kv_heads = heads.kv_heads,
               .dim = dims.dim,
               .dim_k = dims.dim,
               .dim_v = dims.dim_v};
  const bool decode = c.form() == Form::decode || c.form() == Form::paged_decode;
  if (decode) d.rows = std::min<int64_t>(d.rows, 1);
  if (c.form() != Form::single) d.batch = random.between(1, decode ? 4 : 3);
  const bool bilinear =
      similarity_menu()[static_cast<std::size_t>(c.at(Axis::similarity))].name.starts_with(
          "bilinear");
  if (bilinear && !c.is_paged()) d.dim_k += random.between(0, 2);
  return d;
}

struct CrossProblem {
  Case c;
  Random random;
  Maker maker;
  const Dimensions d;  // rows and keys may be 0; arrays of programs have 1 then
  AttentionOptions options;
  std::vector<Segment> segments;
  LaidOut q, k, v, dout;
  Layout layout;
  DTypes dtypes;
  int64_t page_keys = 16;

  explicit CrossProblem(const Case& which)
      : c(which),
        random(which.seed),
        maker(at_least_one(dimensions_of(which, random)), which.seed + 1),
        d([&] {
          Random again(which.seed);
          return dimensions_of(which, again);
        }()),
        layout(static_cast<Layout>(which.at(Axis::layout))),
        dtypes(kDTypes[static_cast<std::size_t>(which.at(Axis::dtype))]) {
    if (c.is_paged()) {
      dtypes.q = dtypes.out = DType::f32;
      if (dtypes.k == DType::f64) dtypes.k = dtypes.v = DType::f32;
    }
    const auto dish = [&](const auto& menu, Axis axis) {
      return menu[static_cast<std::size_t>(c.at(axis))].make(maker);
    };
    options.mask = dish(mask_menu(), Axis::mask);
    options.score = dish(score_menu(), Axis::score);
    options.normaliser = dish(normaliser_menu(), Axis::normaliser);
    options.weight = dish(weight_menu(), Axis::weight);
    options.similarity = dish(similarity_menu(), Axis::similarity);
    if (random.one_in(3)) {
      const reference::SimilarityFormula similarity(options.similarity, d.dim, d.dim_k);
      // Scores stay as small as with unit-normal inputs, for which accuracy is promised.
      options.scale = static_cast<float>((2 * random.uniform() - 1) * similarity.default_scale());
    }
    options.threads = static_cast<int>(random.between(1, 3));
    const InputView<4>::Extents sizes = lay_segments();
    const auto [slabs, tokens, all_keys, unused] = sizes;
    q = LaidOut({slabs, tokens, d.heads, d.dim}, dtypes.q, layout, false);
    k = LaidOut({slabs, all_keys, d.kv_heads, d.dim_k}, dtypes.k, layout, false);
    v = LaidOut({slabs, all_keys, d.kv_heads, d.dim_v}, dtypes.v, layout, false);
    dout = LaidOut({slabs, tokens, d.heads, d.dim_v}, dtypes.out, layout, false);
    for (LaidOut* array : {&q, &k, &v, &dout}) array->fill_normal(random);
  }

  bool has_lse() const { return options.normaliser.kind == Normaliser::Kind::softmax; }

  Reference reference(Matrices matrices = Matrices::keep) const {
    return reference_attention(q.view(), k.view(), v.view(), segments, options, matrices);
  }

 private:
  static Dimensions at_least_one(Dimensions d) {
    d.rows = std::max<int64_t>(d.rows, 1);
    d.keys = std::max<int64_t>(d.keys, 1);
    return d;
  }

  // Fills segments; [slabs, tokens, keys of the arrays, 0].
  InputView<4>::Extents lay_segments() {
    if (c.form() == Form::single || c.form() == Form::batch) {
      for (int64_t slab = 0; slab < d.batch; ++slab) {
        segments.push_back({.rows = d.rows, .keys = d.keys, .slab = slab});
      }
      return {d.batch, d.rows, d.keys, 0};
    }
    // The longest, then others of any length, with gaps between them.
    int64_t tokens = random.below(2), keys = random.below(3);
    for (int64_t n = 0; n < d.batch; ++n) {
      Segment segment{.rows = n == 0 ? d.rows : random.between(0, d.rows),
                      .keys = n == 0 ? d.keys : random.between(0, d.keys)};
      segment.first_row = tokens;
      segment.first_key = keys;
      if (random.one_in(3)) segment.sequence = random.below(100);
      if (random.one_in(4)) segment.position = random.between(0, segment.keys);
      tokens += segment.rows + random.below(2);
      keys += segment.keys + random.below(2);
      segments.push_back(segment);
    }
    return {1, tokens, keys, 0};
  }
};

}  // namespace regard::testing
