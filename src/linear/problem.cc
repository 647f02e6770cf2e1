#include "linear/problem.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"
#include "simd/target.h"

namespace regard {
namespace {

template <int Rank>
std::string words(const std::array<int64_t, Rank>& shape) {
  std::string text;
  for (int64_t extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text;
}

// A view is given when it has memory, or the shape of an array without elements.
template <int Rank>
bool given(const InputView<Rank>& x) {
  return x.data != nullptr || x.shape != typename InputView<Rank>::Extents{};
}

const void* move(const void* data, DType dtype, int64_t elements) {
  return static_cast<const std::byte*>(data) + elements * info(dtype).block_bytes;
}
void* move(void* data, DType dtype, int64_t elements) {
  return static_cast<std::byte*>(data) + elements * info(dtype).block_bytes;
}

std::vector<LinearProblem::Sequence> sequences_of(std::string_view call, const LinearProblem& p) {
  std::vector<LinearProblem::Sequence> all;
  const std::span<const int64_t> rows = p.in.offsets;
  std::span<const int64_t> keys = p.in.key_offsets;
  if (rows.empty()) {
    require(keys.empty(), "{}: key_offsets are given without offsets", call);
    for (int64_t slab = 0; slab < p.batch; ++slab) {
      all.push_back({slab, 0, p.tokens, 0, p.all_keys});
    }
    return all;
  }
  require(p.batch == 1, "{}: offsets are given, so batch ({}) must be 1", call, p.batch);
  require(keys.empty() || !p.options.causal, "{}: key_offsets are for causal = false", call);
  if (keys.empty()) keys = rows;
  require(keys.size() == rows.size(), "{}: there are {} offsets and {} key_offsets", call,
          rows.size(), keys.size());
  const auto check = [&](std::string_view name, std::span<const int64_t> offsets, int64_t most) {
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      const int64_t before = i == 0 ? 0 : offsets[i - 1];
      require(offsets[i] >= before && offsets[i] <= most, "{}: {}[{}] is {}, must be in {} .. {}",
              call, name, i, offsets[i], before, most);
    }
  };
  check("offsets", rows, p.tokens);
  check(p.in.key_offsets.empty() ? "offsets" : "key_offsets", keys, p.all_keys);
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    all.push_back({0, rows[i], rows[i + 1] - rows[i], keys[i], keys[i + 1] - keys[i]});
  }
  return all;
}

}  // namespace

template <int Rank>
void require_array(std::string_view call, std::string_view name, const InputView<Rank>& x,
                   const std::array<int64_t, Rank>& shape) {
  require(x.shape == shape, "{}: {} is {}, must be {}", call, name, words<Rank>(x.shape),
          words<Rank>(shape));
  require(x.dtype == DType::f32 || x.dtype == DType::f16 || x.dtype == DType::bf16,
          "{}: {} holds {}, must hold f32, f16 or bf16", call, name, info(x.dtype).name);
  require(x.data != nullptr || x.size() == 0, "{}: {} has no memory", call, name);
}
template void require_array<3>(std::string_view, std::string_view, const InputView<3>&,
                               const std::array<int64_t, 3>&);
template void require_array<4>(std::string_view, std::string_view, const InputView<4>&,
                               const std::array<int64_t, 4>&);

void require_apart(std::string_view call, const std::vector<NamedMemory>& inputs,
                   const std::vector<NamedMemory>& outputs) {
  const auto meet = [](const NamedMemory& a, const NamedMemory& b) {
    return a.first < b.last && b.first < a.last;
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (const NamedMemory& input : inputs) {
      const bool same = outputs[i].may_be && outputs[i].name == input.name &&
                        outputs[i].data == input.data && outputs[i].first == input.first &&
                        outputs[i].last == input.last;
      require(same || !meet(outputs[i], input),
              "{}: output {} overlaps {}; give it memory of its own", call, outputs[i].name,
              input.name);
    }
    for (std::size_t j = 0; j < i; ++j) {
      require(!meet(outputs[i], outputs[j]), "{}: outputs {} and {} overlap", call, outputs[i].name,
              outputs[j].name);
    }
  }
}

std::vector<NamedMemory> memory_of_inputs(const LinearAttentionInputs& in) {
  return {memory_of<4>("q", in.q),
          memory_of<4>("k", in.k),
          memory_of<4>("v", in.v),
          memory_of<4>("decay", in.decay),
          memory_of<3>("beta", in.beta),
          memory_of<4>("state", in.state),
          memory_of<3>("key_sum", in.key_sum)};
}

LinearProblem make_linear_problem(std::string_view call, const LinearAttentionInputs& in,
                                  const LinearAttentionOptions& options) {
  active_target();  // an unknown REGARD_TARGET is refused here; inside a kernel nothing may throw
  LinearProblem p;
  p.in = in;
  p.options = options;
  for (const auto& [name, shape] :
       {std::pair{"q", in.q.shape}, {"k", in.k.shape}, {"v", in.v.shape}}) {
    require(std::ranges::min(shape) >= 0, "{}: {} is {}; no size may be negative", call, name,
            words<4>(shape));
  }
  p.batch = in.q.shape[0];
  p.tokens = in.q.shape[1];
  p.heads = in.q.shape[2];
  p.dim = in.q.shape[3];
  p.all_keys = in.k.shape[1];
  p.kv_heads = in.k.shape[2];
  p.dim_v = in.v.shape[3];
  require(p.kv_heads > 0 ? p.heads % p.kv_heads == 0 && p.heads > 0 : p.heads == 0,
          "{}: heads ({}) is not a positive multiple of kv_heads ({})", call, p.heads, p.kv_heads);
  require(p.dim <= 1024 && p.dim_v <= 1024, "{}: dim ({}) and dim_v ({}) must be at most 1024",
          call, p.dim, p.dim_v);
  const int64_t keys = options.causal ? p.tokens : p.all_keys;
  require_array<4>(call, "q", in.q, in.q.shape);
  require_array<4>(call, "k", in.k, {p.batch, keys, p.kv_heads, p.dim});
  require_array<4>(call, "v", in.v, {p.batch, keys, p.kv_heads, p.dim_v});

  p.decays = options.rule == UpdateRule::gated || options.rule == UpdateRule::gated_delta;
  p.delta = options.rule == UpdateRule::delta || options.rule == UpdateRule::gated_delta;
  require(options.causal || options.rule == UpdateRule::linear,
          "{}: causal = false is for the linear rule", call);
  require(!options.normalise || !p.delta, "{}: normalise is not for delta rules", call);
  require(!options.normalise || !options.scale,
          "{}: scale cancels when the output is normalised; give none", call);
  require(!options.scale || *options.scale - *options.scale == 0.0f,
          "{}: scale ({}) is not a finite number", call, options.scale.value_or(0));
  require(options.threads >= 0 && options.threads <= 1024, "{}: threads ({}) is not in 0 .. 1024",
          call, options.threads);
  require(given(in.decay) == p.decays, "{}: {}", call,
          p.decays ? "a gated rule needs decay" : "decay is for gated rules");
  require(given(in.beta) == p.delta, "{}: {}", call,
          p.delta ? "a delta rule needs beta" : "beta is for delta rules");
  if (p.decays) {
    const int64_t wide = in.decay.shape[3];
    require(wide == 1 || wide == p.dim, "{}: decay has {} numbers for each head, must have 1 or {}",
            call, wide, p.dim);
    require_array<4>(call, "decay", in.decay, {p.batch, p.tokens, p.kv_heads, wide});
  }
  if (p.delta) {
    const int64_t wide = in.beta.shape[2];
    require(wide == 1 || wide == p.kv_heads, "{}: beta has {} heads, must have 1 or {}", call, wide,
            p.kv_heads);
    require_array<3>(call, "beta", in.beta, {p.batch, p.tokens, wide});
  }
  p.sequences = sequences_of(call, p);
  const auto count = static_cast<int64_t>(p.sequences.size());
  if (given(in.state)) {
    require_array<4>(call, "state", in.state, {count, p.kv_heads, p.dim, p.dim_v});
  }
  require(!given(in.key_sum) || options.normalise, "{}: key_sum is for normalise", call);
  if (given(in.key_sum)) require_array<3>(call, "key_sum", in.key_sum, {count, p.kv_heads, p.dim});

  p.group = p.kv_heads > 0 ? p.heads / p.kv_heads : 1;
  p.dim_step = whole_vectors(p.dim);
  p.blocks = std::max<int64_t>(1, (p.dim_v + kStateColumns - 1) / kStateColumns);
  if (!options.normalise && p.dim > 0) {
    p.scale =
        options.scale.value_or(static_cast<float>(1.0 / std::sqrt(static_cast<double>(p.dim))));
  }
  return p;
}

RowsIn rows_at(const InputView<4>& x, int64_t slab, int64_t row, int64_t head, int64_t column) {
  const int64_t at =
      slab * x.strides[0] + row * x.strides[1] + head * x.strides[2] + column * x.strides[3];
  return {move(x.data, x.dtype, at), x.dtype, x.strides[1], x.strides[3]};
}
RowsOut rows_at(const OutputView<4>& x, int64_t slab, int64_t row, int64_t head, int64_t column) {
  const int64_t at =
      slab * x.strides[0] + row * x.strides[1] + head * x.strides[2] + column * x.strides[3];
  return {move(x.data, x.dtype, at), x.dtype, x.strides[1], x.strides[3]};
}
RowsIn line_at(const InputView<3>& x, int64_t slab, int64_t row, int64_t head) {
  const int64_t at = slab * x.strides[0] + row * x.strides[1] + head * x.strides[2];
  return {move(x.data, x.dtype, at), x.dtype, 0, x.strides[1]};
}
RowsOut line_at(const OutputView<3>& x, int64_t slab, int64_t row) {
  return {move(x.data, x.dtype, slab * x.strides[0] + row * x.strides[1]), x.dtype, 0,
          x.strides[2]};
}
RowsOut matrix_at(const OutputView<4>& x, std::size_t sequence, int64_t head, int64_t column) {
  const int64_t at =
      static_cast<int64_t>(sequence) * x.strides[0] + head * x.strides[1] + column * x.strides[3];
  return {move(x.data, x.dtype, at), x.dtype, x.strides[2], x.strides[3]};
}
RowsOut vector_at(const OutputView<3>& x, std::size_t sequence, int64_t head) {
  const int64_t at = static_cast<int64_t>(sequence) * x.strides[0] + head * x.strides[1];
  return {move(x.data, x.dtype, at), x.dtype, 0, x.strides[2]};
}

void LinearProblem::stage_k(const Sequence& s, int64_t head, int64_t first, int count,
                            float* k) const {
  stage(rows_at(in.k, s.slab, s.first_key + first, head), count, dim, options.features, 1, k,
        dim_step);
}

void LinearProblem::stage_q(const Sequence& s, int64_t kv_head, int64_t first, int count,
                            float* q) const {
  for (int64_t member = 0; member < group; ++member) {
    stage(rows_at(in.q, s.slab, s.first + first, kv_head * group + member), count, dim,
          options.features, scale, q + member * kStepTokens * dim_step, dim_step);
  }
}

void LinearProblem::stage_v(const Sequence& s, int64_t head, int64_t block, int64_t first,
                            int count, float* v) const {
  stage(rows_at(in.v, s.slab, s.first_key + first, head, block * kStateColumns), count,
        columns_of(block), FeatureMap::identity, 1, v, kStateColumns);
}

void LinearProblem::stage_decay(const Sequence& s, int64_t head, int64_t first, int count,
                                float* a) const {
  const RowsIn from = rows_at(in.decay, s.slab, s.first + first, head);
  if (in.decay.shape[3] == dim && dim != 1) {
    stage(from, count, dim, FeatureMap::exp, 1, a, dim_step);
    return;
  }
  float decay[kStepTokens];
  stage({from.data, from.dtype, 0, from.row_step}, 1, count, FeatureMap::exp, 1, decay,
        kStepTokens);
  for (int t = 0; t < count; ++t) std::fill_n(a + t * dim_step, dim_step, decay[t]);
}

void LinearProblem::stage_beta(const Sequence& s, int64_t head, int64_t first, int count,
                               float* beta) const {
  stage(line_at(in.beta, s.slab, s.first + first, in.beta.shape[2] == 1 ? 0 : head), 1, count,
        FeatureMap::identity, 1, beta, kStepTokens);
}

void LinearProblem::stage_state(const InputView<4>& state, std::size_t sequence, int64_t head,
                                int64_t block, float* out) const {
  std::fill_n(out, dim * kStateColumns, 0.0f);
  if (state.data == nullptr) return;
  const int64_t at = static_cast<int64_t>(sequence) * state.strides[0] + head * state.strides[1] +
                     block * kStateColumns * state.strides[3];
  stage({move(state.data, state.dtype, at), state.dtype, state.strides[2], state.strides[3]}, dim,
        columns_of(block), FeatureMap::identity, 1, out, kStateColumns);
}

void LinearProblem::stage_key_sum(const InputView<3>& sum, std::size_t sequence, int64_t head,
                                  float* out) const {
  std::fill_n(out, dim_step, 0.0f);
  if (sum.data == nullptr) return;
  const int64_t at = static_cast<int64_t>(sequence) * sum.strides[0] + head * sum.strides[1];
  stage({move(sum.data, sum.dtype, at), sum.dtype, 0, sum.strides[2]}, 1, dim, FeatureMap::identity,
        1, out, dim_step);
}

void LinearProblem::stage_keys(const Sequence& s, int64_t head, int64_t first, int count,
                               const StagedTokens& to) const {
  stage_k(s, head, first, count, to.k);
  if (decays) stage_decay(s, head, first, count, to.a);
  if (delta) stage_beta(s, head, first, count, to.beta);
}

Steps LinearProblem::steps_of(const StagedTokens& staged, int64_t block) const {
  Steps steps;
  steps.columns = static_cast<int>((columns_of(block) + 15) / 16);
  steps.dim = dim;
  steps.dim_step = dim_step;
  steps.heads = static_cast<int>(group);
  steps.k = staged.k;
  steps.a = decays ? staged.a : nullptr;
  steps.v = staged.v;
  steps.beta = delta ? staged.beta : nullptr;
  steps.q = staged.q;
  return steps;
}

void LinearProblem::add_keys(const Sequence& s, int64_t head, int64_t block,
                             const StagedTokens& staged, float* part, float* z_part, float* state,
                             float* z) const {
  Steps steps = steps_of(staged, block);
  steps.heads = 0;
  for (int64_t chunk = 0; chunk < s.keys; chunk += kSumKeys) {
    std::fill_n(part, dim * kStateColumns, 0.0f);
    std::fill_n(z_part, dim_step, 0.0f);
    const int64_t end = std::min(chunk + kSumKeys, s.keys);
    for (int64_t first = chunk; first < end; first += kStepTokens) {
      steps.tokens = static_cast<int>(std::min<int64_t>(kStepTokens, end - first));
      stage_k(s, head, first, steps.tokens, staged.k);
      stage_v(s, head, block, first, steps.tokens, staged.v);
      run_steps(steps, part);
      if (options.normalise) sum_keys(steps, z_part, nullptr);
    }
    for (int64_t i = 0; i < dim * kStateColumns; ++i) state[i] = state[i] + part[i];
    for (int64_t d = 0; d < dim_step && options.normalise; ++d) z[d] = z[d] + z_part[d];
  }
}

}  // namespace regard
