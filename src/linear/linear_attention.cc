// linear_attention(): a task owns some value columns of one head of one sequence, from its first
// token to its last: all of them, or a block of 64 where there are few heads. Columns are
// independent, so nothing is merged.
#include "regard/linear_attention.h"

#include <algorithm>

#include "base/buffer.h"
#include "base/check.h"
#include "base/shared_pool.h"
#include "linear/problem.h"

namespace regard {
namespace {

struct Forward {
  const LinearProblem& p;
  const LinearAttentionOutputs& to;
  // [sequences][kv_heads][dim_step]: each task reads the sum that came in, so what goes out waits
  // for all of them. Null: not wanted.
  float* key_sums;
  int64_t span;  // blocks of one task

  // The memory of one thread.
  struct Scratch : StagedTokens {
    float *state, *part, *z, *z_part, *out, *sums;
  };
  int64_t scratch_numbers() const {
    return (span + 1) * p.dim * kStateColumns + 2 * p.dim_step +
           kStepTokens * ((2 + p.group) * p.dim_step + (1 + p.group) * (kStateColumns + 1)) +
           11 * 16;
  }
  Scratch scratch(float* at) const {
    const auto take = [&at](int64_t numbers) {
      float* const here = at;
      at += whole_vectors(numbers);
      return here;
    };
    Scratch s;
    s.state = take(span * p.dim * kStateColumns);
    s.part = take(p.dim * kStateColumns);
    s.z = take(p.dim_step);
    s.z_part = take(p.dim_step);
    s.k = take(kStepTokens * p.dim_step);
    s.a = take(kStepTokens * p.dim_step);
    s.q = take(kStepTokens * p.group * p.dim_step);
    s.v = take(kStepTokens * kStateColumns);
    s.beta = take(kStepTokens);
    s.out = take(kStepTokens * p.group * kStateColumns);
    s.sums = take(kStepTokens * p.group);
    return s;
  }

  // Denominators to factors.
  void invert(int count, const Scratch& s) const {
    for (int64_t member = 0; member < p.group; ++member) {
      float* const sums = s.sums + member * kStepTokens;
      for (int t = 0; t < count; ++t) sums[t] = sums[t] == 0 ? 0 : 1 / sums[t];
    }
  }
  void write(const LinearProblem::Sequence& seq, int64_t head, int64_t block, int64_t first,
             int count, const Scratch& s) const {
    for (int64_t member = 0; member < p.group; ++member) {
      unstage(s.out + member * kStepTokens * kStateColumns, kStateColumns,
              p.options.normalise ? s.sums + member * kStepTokens : nullptr, count,
              p.columns_of(block),
              rows_at(to.out, seq.slab, seq.first + first, head * p.group + member,
                      block * kStateColumns));
    }
  }

  void causal(const LinearProblem::Sequence& seq, int64_t head, int64_t begin, int64_t end,
              const Scratch& s) const {
    for (int64_t first = 0; first < seq.rows; first += kStepTokens) {
      const int count = static_cast<int>(std::min<int64_t>(kStepTokens, seq.rows - first));
      p.stage_keys(seq, head, first, count, s);
      p.stage_q(seq, head, first, count, s.q);
      for (int64_t block = begin; block < end; ++block) {
        Steps steps = p.steps_of(s, block);
        steps.tokens = count;
        steps.out = s.out;
        p.stage_v(seq, head, block, first, count, s.v);
        run_steps(steps, s.state + (block - begin) * p.dim * kStateColumns);
        if (p.options.normalise && block == begin) {
          sum_keys(steps, s.z, s.sums);
          invert(count, s);
        }
        write(seq, head, block, first, count, s);
      }
    }
  }

  // All keys first, then all queries. The sums over keys restart every 512: chains stay short.
  void whole(const LinearProblem::Sequence& seq, int64_t head, int64_t block, float* state,
             const Scratch& s) const {
    p.add_keys(seq, head, block, s, s.part, s.z_part, state, s.z);
    Steps steps = p.steps_of(s, block);
    steps.k = nullptr;
    steps.out = s.out;
    for (int64_t first = 0; first < seq.rows; first += kStepTokens) {
      steps.tokens = static_cast<int>(std::min<int64_t>(kStepTokens, seq.rows - first));
      p.stage_q(seq, head, first, steps.tokens, s.q);
      read_state(steps, state);
      if (p.options.normalise) {
        sum_keys(steps, s.z, s.sums);
        invert(steps.tokens, s);
      }
      write(seq, head, block, first, steps.tokens, s);
    }
  }

  int64_t parts() const { return (p.blocks + span - 1) / span; }

  void run(int64_t task, const Scratch& s) const {
    const auto number = static_cast<std::size_t>(task / (p.kv_heads * parts()));
    const int64_t head = task / parts() % p.kv_heads, begin = task % parts() * span;
    const int64_t end = std::min(begin + span, p.blocks);
    const LinearProblem::Sequence& seq = p.sequences[number];
    const auto state_of = [&](int64_t block) {
      return s.state + (block - begin) * p.dim * kStateColumns;
    };
    for (int64_t block = begin; block < end; ++block) {
      p.stage_state(p.in.state, number, head, block, state_of(block));
      if (p.options.normalise) p.stage_key_sum(p.in.key_sum, number, head, s.z);
      if (!p.options.causal) whole(seq, head, block, state_of(block), s);
    }
    if (p.options.causal) causal(seq, head, begin, end, s);
    if (to.state.data != nullptr) {
      for (int64_t block = begin; block < end; ++block) {
        unstage(state_of(block), kStateColumns, nullptr, p.dim, p.columns_of(block),
                matrix_at(to.state, number, head, block * kStateColumns));
      }
    }
    if (key_sums != nullptr && begin == 0) {
      std::copy_n(s.z, p.dim_step, key_sums + (task / parts()) * p.dim_step);
    }
  }
  void write_key_sums() const {
    for (std::size_t s = 0; s < p.sequences.size(); ++s) {
      for (int64_t head = 0; head < p.kv_heads; ++head) {
        const int64_t row = static_cast<int64_t>(s) * p.kv_heads + head;
        unstage(key_sums + row * p.dim_step, p.dim_step, nullptr, 1, p.dim,
                vector_at(to.key_sum, s, head));
      }
    }
  }
};

}  // namespace

void linear_attention(const LinearAttentionInputs& in, const LinearAttentionOutputs& out,
                      const LinearAttentionOptions& options) {
  constexpr std::string_view kCall = "linear_attention";
  const LinearProblem p = make_linear_problem(kCall, in, options);
  const auto sequences = static_cast<int64_t>(p.sequences.size());
  require_array<4>(kCall, "out", out.out, {p.batch, p.tokens, p.heads, p.dim_v});
  if (out.state.data != nullptr) {
    require_array<4>(kCall, "output state", out.state, {sequences, p.kv_heads, p.dim, p.dim_v});
  }
  if (out.key_sum.data != nullptr) {
    require(options.normalise, "{}: key_sum is for normalise", kCall);
    require_array<3>(kCall, "output key_sum", out.key_sum, {sequences, p.kv_heads, p.dim});
  }
  NamedMemory state = memory_of<4>("state", out.state);
  NamedMemory key_sum = memory_of<3>("key_sum", out.key_sum);
  state.may_be = in.state.strides == out.state.strides && in.state.dtype == out.state.dtype;
  key_sum.may_be =
      in.key_sum.strides == out.key_sum.strides && in.key_sum.dtype == out.key_sum.dtype;
  require_apart(kCall, memory_of_inputs(in), {memory_of<4>("out", out.out), state, key_sum});

  const SharedPool pool(options.threads);
  const int64_t sums =
      out.key_sum.data != nullptr ? whole_vectors(sequences * p.kv_heads * p.dim_step) : 0;
  // Columns that share a task share the staging of q and k, which counts where dim is small.
  const int64_t heads = sequences * p.kv_heads, threads = (*pool).threads();
  Forward forward{p, out, nullptr, threads == 1 || heads >= 4 * threads ? p.blocks : 1};
  const int64_t numbers = whole_vectors(forward.scratch_numbers());
  const Buffer memory(static_cast<std::size_t>(numbers * threads + sums) * sizeof(float),
                      "linear_attention's workspace");
  if (sums > 0) forward.key_sums = memory.as<float>() + numbers * threads;
  (*pool).parallel_for(heads * forward.parts(), [&](int64_t task, int slot) {
    forward.run(task, forward.scratch(memory.as<float>() + slot * numbers));
  });
  if (sums > 0) forward.write_key_sums();
}

}  // namespace regard
