// linear_attention_backward(): a task owns up to 64 value columns of one head of one sequence. It
// walks forward once, keeping the state before every 32 tokens, then backward, 32 tokens at a time:
// what was kept gives the state before every 8, and that all of the 8. Gradients that sum over
// value columns are kept for each block of columns and added in order at the end.
#include <algorithm>

#include "base/buffer.h"
#include "base/check.h"
#include "base/shared_pool.h"
#include "linear/gradients.h"
#include "linear/problem.h"
#include "regard/linear_attention.h"

namespace regard {
namespace {

struct Backward {
  const LinearProblem& p;
  const LinearAttentionUpstream& up;
  const LinearAttentionGradients& to;
  int64_t kept;  // states of the longest sequence
  // Partial sums, [blocks][batch · tokens][heads][dim_step] and so on; dbeta without dim.
  float *dq = nullptr, *dk = nullptr, *dg = nullptr, *dbeta = nullptr;
  float* dz = nullptr;  // [sequences][kv_heads][dim_step]

  int64_t state_numbers() const { return p.dim * kStateColumns; }

  // The memory of one thread.
  struct Scratch : StagedTokens {
    float *state, *g, *part, *states, *few, *w, *u, *e;
    float *dout, *dq, *dk, *dg, *dv, *dbeta;
    float *z, *z_part, *dz, *zs, *z_states, *sums, *dsums;
  };
  Scratch scratch(float* at, int64_t* numbers) const {
    int64_t used = 0;
    const auto take = [&](int64_t count) {
      const int64_t here = used;
      used += whole_vectors(count);
      return at != nullptr ? at + here : nullptr;
    };
    Scratch s;
    for (float** x : {&s.state, &s.g, &s.part}) *x = take(state_numbers());
    s.states = take(kept * state_numbers());
    s.few = take(kStepTokens / kHistoryTokens * state_numbers());
    s.w = take(kHistoryTokens * state_numbers());
    for (float** x : {&s.u, &s.e, &s.v, &s.dv}) *x = take(kStepTokens * kStateColumns);
    for (float** x : {&s.k, &s.a, &s.dk, &s.dg}) *x = take(kStepTokens * p.dim_step);
    for (float** x : {&s.beta, &s.dbeta}) *x = take(kStepTokens);
    for (float** x : {&s.q, &s.dq}) *x = take(kStepTokens * p.group * p.dim_step);
    s.dout = take(kStepTokens * p.group * kStateColumns);
    for (float** x : {&s.z, &s.z_part, &s.dz}) *x = take(p.dim_step);
    s.zs = take((kStepTokens + 1) * p.dim_step);
    s.z_states = take(kept * p.dim_step);
    for (float** x : {&s.sums, &s.dsums}) *x = take(kStepTokens * p.group);
    *numbers = used;
    return s;
  }

  // dout, and of a normalised output out = o / n: do = dout / n and dn = -(dout · out) / n, 0 where
  // n is. sums: n.
  void stage_dout(const LinearProblem::Sequence& seq, int64_t kv_head, int64_t block, int64_t first,
                  int count, const Scratch& s) const {
    for (int64_t member = 0; member < p.group; ++member) {
      const int64_t head = kv_head * p.group + member;
      float* const dout = s.dout + member * kStepTokens * kStateColumns;
      stage(rows_at(up.dout, seq.slab, seq.first + first, head, block * kStateColumns), count,
            p.columns_of(block), FeatureMap::identity, 1, dout, kStateColumns);
      if (!p.options.normalise) continue;
      for (int t = 0; t < count; ++t) {
        const int64_t at = member * kStepTokens + t;
        const float inverse = s.sums[at] == 0 ? 0.0f : 1 / s.sums[at];
        float* const row = dout + t * kStateColumns;
        for (int m = 0; m < kStateColumns; ++m) row[m] = row[m] * inverse;
        s.dsums[at] = -inverse * product(seq, first + t, head);
      }
    }
  }
  // dout · out of one row, in 16 virtual lanes.
  float product(const LinearProblem::Sequence& seq, int64_t token, int64_t head) const {
    float lanes[16] = {};
    for (int64_t first = 0; first < p.dim_v; first += kStateColumns) {
      float a[kStateColumns], b[kStateColumns];
      const int64_t count = std::min<int64_t>(kStateColumns, p.dim_v - first);
      stage(rows_at(up.dout, seq.slab, seq.first + token, head, first), 1, count,
            FeatureMap::identity, 1, a, kStateColumns);
      stage(rows_at(up.out, seq.slab, seq.first + token, head, first), 1, count,
            FeatureMap::identity, 1, b, kStateColumns);
      for (int m = 0; m < kStateColumns; ++m) lanes[m % 16] = lanes[m % 16] + a[m] * b[m];
    }
    return sum(lanes);
  }
  static float sum(float* lanes) {
    for (int half = 8; half >= 1; half /= 2) {
      for (int i = 0; i < half; ++i) lanes[i] = lanes[i] + lanes[i + half];
    }
    return lanes[0];
  }

  // Where the partial sums of a token lie.
  float* of_q(const LinearProblem::Sequence& seq, int64_t block, int64_t token,
              int64_t head) const {
    const int64_t row = block * p.batch * p.tokens + seq.slab * p.tokens + seq.first + token;
    return dq + (row * p.heads + head) * p.dim_step;
  }
  int64_t key_row(const LinearProblem::Sequence& seq, int64_t block, int64_t token,
                  int64_t head) const {
    const int64_t row =
        block * p.batch * p.all_keys + seq.slab * p.all_keys + seq.first_key + token;
    return row * p.kv_heads + head;
  }
  void keep_q(const LinearProblem::Sequence& seq, int64_t kv_head, int64_t block, int64_t first,
              int count, const Scratch& s) const {
    for (int64_t member = 0; member < p.group; ++member) {
      for (int t = 0; t < count; ++t) {
        std::copy_n(s.dq + (member * kStepTokens + t) * p.dim_step, p.dim_step,
                    of_q(seq, block, first + t, kv_head * p.group + member));
      }
    }
  }
  void keep_k(const LinearProblem::Sequence& seq, int64_t head, int64_t block, int64_t first,
              int count, const Scratch& s) const {
    for (int t = 0; t < count; ++t) {
      const int64_t row = key_row(seq, block, first + t, head);
      std::copy_n(s.dk + t * p.dim_step, p.dim_step, dk + row * p.dim_step);
      if (p.decays) std::copy_n(s.dg + t * p.dim_step, p.dim_step, dg + row * p.dim_step);
      if (p.delta) dbeta[row] = s.dbeta[t];
    }
    if (to.dv.data != nullptr) {
      unstage(s.dv, kStateColumns, nullptr, count, p.columns_of(block),
              rows_at(to.dv, seq.slab, seq.first_key + first, head, block * kStateColumns));
    }
  }

  // Some of the staged tokens.
  Steps tokens_of(Steps steps, int first, int count) const {
    steps.tokens = count;
    steps.k += first * p.dim_step;
    if (steps.a != nullptr) steps.a += first * p.dim_step;
    if (steps.beta != nullptr) steps.beta += first;
    steps.v += first * kStateColumns;
    steps.q += first * p.dim_step;
    return steps;
  }

  void causal(const LinearProblem::Sequence& seq, int64_t head, int64_t block,
              const Scratch& s) const {
    Steps steps = p.steps_of(s, block);
    steps.heads = 0;
    for (int64_t first = 0, i = 0; first < seq.rows; first += kStepTokens, ++i) {
      std::copy_n(s.state, state_numbers(), s.states + i * state_numbers());
      std::copy_n(s.z, p.dim_step, s.z_states + i * p.dim_step);
      if (first + kStepTokens >= seq.rows) break;
      steps.tokens = kStepTokens;
      p.stage_keys(seq, head, first, kStepTokens, s);
      p.stage_v(seq, head, block, first, kStepTokens, s.v);
      run_steps(steps, s.state);
      if (p.options.normalise) sum_keys(steps, s.z, nullptr);
    }
    for (int64_t i = (seq.rows + kStepTokens - 1) / kStepTokens - 1; i >= 0; --i) {
      const int64_t first = i * kStepTokens;
      steps.heads = static_cast<int>(p.group);
      steps.tokens = static_cast<int>(std::min<int64_t>(kStepTokens, seq.rows - first));
      p.stage_keys(seq, head, first, steps.tokens, s);
      p.stage_v(seq, head, block, first, steps.tokens, s.v);
      p.stage_q(seq, head, first, steps.tokens, s.q);
      if (p.options.normalise) replay_sums(steps, s.z_states + i * p.dim_step, s);
      stage_dout(seq, head, block, first, steps.tokens, s);
      reverse_tokens(steps, s.states + i * state_numbers(), s);
      const StepGradients gradients{s.dq, s.dk, s.dg, s.dv, s.dbeta};
      if (p.options.normalise && block == 0) reverse_sums(steps, s.zs, s.dsums, s.dz, gradients);
      keep_q(seq, head, block, first, steps.tokens, s);
      keep_k(seq, head, block, first, steps.tokens, s);
    }
  }
  // The staged tokens, 8 at a time.
  void reverse_tokens(const Steps& steps, const float* state, const Scratch& s) const {
    const int parts = (steps.tokens + kHistoryTokens - 1) / kHistoryTokens;
    std::copy_n(state, state_numbers(), s.few);
    for (int part = 1; part < parts; ++part) {
      float* const next = s.few + part * state_numbers();
      std::copy_n(next - state_numbers(), state_numbers(), next);
      Steps some = tokens_of(steps, (part - 1) * kHistoryTokens, kHistoryTokens);
      some.heads = 0;
      run_steps(some, next);
    }
    const History history{s.w, s.u, s.e};
    for (int part = parts - 1; part >= 0; --part) {
      const int first = part * kHistoryTokens;
      const Steps some = tokens_of(steps, first, std::min(kHistoryTokens, steps.tokens - first));
      replay_steps(some, s.few + part * state_numbers(), history);
      reverse_steps(some, history, s.dout + first * kStateColumns, s.g,
                    {s.dq + first * p.dim_step, s.dk + first * p.dim_step,
                     s.dg + first * p.dim_step, s.dv + first * kStateColumns, s.dbeta + first});
    }
  }
  // The sum of keys before the first token and behind each, and the denominators.
  void replay_sums(const Steps& steps, const float* z, const Scratch& s) const {
    std::copy_n(z, p.dim_step, s.zs);
    for (int t = 0; t < steps.tokens; ++t) {
      Steps one = steps;
      one.tokens = 1;
      one.k = steps.k + t * p.dim_step;
      one.a = steps.a != nullptr ? steps.a + t * p.dim_step : nullptr;
      one.q = steps.q + t * p.dim_step;
      float* const behind = s.zs + (t + 1) * p.dim_step;
      std::copy_n(behind - p.dim_step, p.dim_step, behind);
      sum_keys(one, behind, s.sums + t);
    }
  }

  // Without causal: out = Sᵀ q of one S = Σ k vᵀ, so G = Σ q doᵀ serves every key. Sums over rows
  // restart every 512.
  void whole(const LinearProblem::Sequence& seq, int64_t head, int64_t block,
             const Scratch& s) const {
    p.add_keys(seq, head, block, s, s.part, s.z_part, s.state, s.z);
    Steps steps = p.steps_of(s, block);
    for (int64_t chunk = 0; chunk < seq.rows; chunk += kSumKeys) {
      const int64_t end = std::min(chunk + kSumKeys, seq.rows);
      std::fill_n(s.part, state_numbers(), 0.0f);
      std::fill_n(s.z_part, p.dim_step, 0.0f);
      for (int64_t first = chunk; first < end; first += kStepTokens) {
        steps.tokens = static_cast<int>(std::min<int64_t>(kStepTokens, end - first));
        p.stage_q(seq, head, first, steps.tokens, s.q);
        if (p.options.normalise) {
          steps.k = nullptr;
          sum_keys(steps, s.z, s.sums);
        }
        stage_dout(seq, head, block, first, steps.tokens, s);
        for (int64_t member = 0; member < p.group; ++member) {
          float* const of_head = s.dq + member * kStepTokens * p.dim_step;
          const float* const d_o = s.dout + member * kStepTokens * kStateColumns;
          multiply_rows(steps, s.state, d_o, of_head);
          Steps add = steps;
          add.heads = 0;
          add.k = s.q + member * kStepTokens * p.dim_step;
          add.v = d_o;
          run_steps(add, s.part);
          for (int t = 0; t < steps.tokens && p.options.normalise && block == 0; ++t) {
            const float dsum = s.dsums[member * kStepTokens + t];
            for (int64_t d = 0; d < p.dim; ++d) {
              of_head[t * p.dim_step + d] = of_head[t * p.dim_step + d] + s.z[d] * dsum;
              s.z_part[d] = s.z_part[d] + add.k[t * p.dim_step + d] * dsum;
            }
          }
        }
        keep_q(seq, head, block, first, steps.tokens, s);
      }
      for (int64_t i = 0; i < state_numbers(); ++i) s.g[i] = s.g[i] + s.part[i];
      for (int64_t d = 0; d < p.dim_step; ++d) s.dz[d] = s.dz[d] + s.z_part[d];
    }
    for (int64_t first = 0; first < seq.keys; first += kStepTokens) {
      steps = p.steps_of(s, block);
      steps.tokens = static_cast<int>(std::min<int64_t>(kStepTokens, seq.keys - first));
      p.stage_k(seq, head, first, steps.tokens, s.k);
      p.stage_v(seq, head, block, first, steps.tokens, s.v);
      multiply_rows(steps, s.g, s.v, s.dk);
      for (int t = 0; t < steps.tokens && p.options.normalise && block == 0; ++t) {
        float* const row = s.dk + t * p.dim_step;
        for (int64_t d = 0; d < p.dim; ++d) row[d] = row[d] + s.dz[d];
      }
      steps.heads = 1;
      steps.q = s.k;
      steps.out = s.dv;
      read_state(steps, s.g);
      keep_k(seq, head, block, first, steps.tokens, s);
    }
  }

  void run(int64_t task, const Scratch& s) const {
    const auto number = static_cast<std::size_t>(task / (p.kv_heads * p.blocks));
    const int64_t head = task / p.blocks % p.kv_heads, block = task % p.blocks;
    p.stage_state(p.in.state, number, head, block, s.state);
    p.stage_state(up.dstate, number, head, block, s.g);
    if (p.options.normalise) {
      p.stage_key_sum(p.in.key_sum, number, head, s.z);
      p.stage_key_sum(up.dkey_sum, number, head, s.dz);
    }
    const LinearProblem::Sequence& seq = p.sequences[number];
    p.options.causal ? causal(seq, head, block, s) : whole(seq, head, block, s);
    if (to.dstate.data != nullptr) {
      unstage(s.g, kStateColumns, nullptr, p.dim, p.columns_of(block),
              matrix_at(to.dstate, number, head, block * kStateColumns));
    }
    if (to.dkey_sum.data != nullptr && block == 0) {
      unstage(s.dz, p.dim_step, nullptr, 1, p.dim, vector_at(to.dkey_sum, number, head));
    }
  }

  // ---- the blocks of columns together ----

  // Adds the blocks to the first, in order. row: of the first block; from one block to the next.
  void add_blocks(float* row, int64_t count, int64_t block_step) const {
    for (int64_t block = 1; block < p.blocks; ++block) {
      const float* const more = row + block * block_step;
      for (int64_t i = 0; i < count; ++i) row[i] = row[i] + more[i];
    }
  }
  void finish_row(const LinearProblem::Sequence& seq, int64_t token) const {
    for (int64_t head = 0; head < p.heads && to.dq.data != nullptr; ++head) {
      float* const row = of_q(seq, 0, token, head);
      add_blocks(row, p.dim_step, p.batch * p.tokens * p.heads * p.dim_step);
      for (int64_t d = 0; d < p.dim; ++d) row[d] = row[d] * p.scale;
      through_features(rows_at(p.in.q, seq.slab, seq.first + token, head), 1, p.dim,
                       p.options.features, row, p.dim_step);
      unstage(row, p.dim_step, nullptr, 1, p.dim,
              rows_at(to.dq, seq.slab, seq.first + token, head));
    }
  }
  void finish_key(const LinearProblem::Sequence& seq, int64_t token) const {
    const int64_t block_step = p.batch * p.all_keys * p.kv_heads, at = seq.first_key + token;
    const int64_t first_row = key_row(seq, 0, token, 0);
    for (int64_t head = 0; head < p.kv_heads; ++head) {
      float* row = dk + (first_row + head) * p.dim_step;
      if (to.dk.data != nullptr) {
        add_blocks(row, p.dim_step, block_step * p.dim_step);
        through_features(rows_at(p.in.k, seq.slab, at, head), 1, p.dim, p.options.features, row,
                         p.dim_step);
        unstage(row, p.dim_step, nullptr, 1, p.dim, rows_at(to.dk, seq.slab, at, head));
      }
      if (to.ddecay.data != nullptr) {
        row = dg + (first_row + head) * p.dim_step;
        add_blocks(row, p.dim_step, block_step * p.dim_step);
        const int64_t wide = p.in.decay.shape[3];
        float lanes[16] = {};
        if (wide != p.dim) {  // one decay for all: the sum of all
          for (int64_t d = 0; d < p.dim_step; ++d) lanes[d % 16] = lanes[d % 16] + row[d];
          sum(lanes);
          row = lanes;
        }
        unstage(row, p.dim_step, nullptr, 1, wide, rows_at(to.ddecay, seq.slab, at, head));
      }
    }
    if (to.dbeta.data == nullptr) return;
    float* const row = dbeta + first_row;
    add_blocks(row, p.kv_heads, block_step);
    if (p.in.beta.shape[2] == 1) {
      for (int64_t head = 1; head < p.kv_heads; ++head) row[0] = row[0] + row[head];
    }
    const RowsOut line = line_at(to.dbeta, seq.slab, at);
    unstage(row, 0, nullptr, 1, p.in.beta.shape[2], line);
  }
};

}  // namespace

void linear_attention_backward(const LinearAttentionInputs& in,
                               const LinearAttentionUpstream& upstream,
                               const LinearAttentionGradients& gradients,
                               const LinearAttentionOptions& options) {
  constexpr std::string_view kCall = "linear_attention_backward";
  const LinearProblem p = make_linear_problem(kCall, in, options);
  const auto sequences = static_cast<int64_t>(p.sequences.size());
  const std::array<int64_t, 4> out_shape{p.batch, p.tokens, p.heads, p.dim_v};
  const std::array<int64_t, 4> state_shape{sequences, p.kv_heads, p.dim, p.dim_v};
  const std::array<int64_t, 3> sum_shape{sequences, p.kv_heads, p.dim};
  const bool sums = options.normalise;
  require_array<4>(kCall, "dout", upstream.dout, out_shape);
  require((upstream.out.data != nullptr) == sums || upstream.dout.size() == 0, "{}: {}", kCall,
          sums ? "normalise needs out, what linear_attention() wrote" : "out is for normalise");
  if (sums) require_array<4>(kCall, "out", upstream.out, out_shape);
  require(sums || (upstream.dkey_sum.data == nullptr && gradients.dkey_sum.data == nullptr),
          "{}: dkey_sum is for normalise", kCall);
  require(p.decays || gradients.ddecay.data == nullptr, "{}: ddecay is for gated rules", kCall);
  require(p.delta || gradients.dbeta.data == nullptr, "{}: dbeta is for delta rules", kCall);
  const auto check4 = [&](std::string_view name, const InputView<4>& x,
                          const std::array<int64_t, 4>& shape) {
    if (x.data != nullptr) require_array<4>(kCall, name, x, shape);
  };
  const auto check3 = [&](std::string_view name, const InputView<3>& x,
                          const std::array<int64_t, 3>& shape) {
    if (x.data != nullptr) require_array<3>(kCall, name, x, shape);
  };
  check4("dstate", upstream.dstate, state_shape);
  check3("dkey_sum", upstream.dkey_sum, sum_shape);
  check4("dq", gradients.dq, in.q.shape);
  check4("dk", gradients.dk, in.k.shape);
  check4("dv", gradients.dv, in.v.shape);
  check4("ddecay", gradients.ddecay, in.decay.shape);
  check3("dbeta", gradients.dbeta, in.beta.shape);
  check4("output dstate", gradients.dstate, state_shape);
  check3("output dkey_sum", gradients.dkey_sum, sum_shape);
  std::vector<NamedMemory> inputs = memory_of_inputs(in);
  inputs.push_back(memory_of<4>("dout", upstream.dout));
  inputs.push_back(memory_of<4>("out", upstream.out));
  inputs.push_back(memory_of<4>("dstate", upstream.dstate));
  inputs.push_back(memory_of<3>("dkey_sum", upstream.dkey_sum));
  require_apart(kCall, inputs,
                {memory_of<4>("dq", gradients.dq), memory_of<4>("dk", gradients.dk),
                 memory_of<4>("dv", gradients.dv), memory_of<4>("ddecay", gradients.ddecay),
                 memory_of<3>("dbeta", gradients.dbeta), memory_of<4>("dstate", gradients.dstate),
                 memory_of<3>("dkey_sum", gradients.dkey_sum)});

  const SharedPool pool(options.threads);
  const int threads = (*pool).threads();
  Backward backward{p, upstream, gradients,
                    options.causal ? (p.longest() + kStepTokens - 1) / kStepTokens : 0};
  int64_t numbers = 0;
  backward.scratch(nullptr, &numbers);
  const int64_t rows = p.blocks * p.batch * p.tokens * p.heads * p.dim_step;
  const int64_t keys = p.blocks * p.batch * p.all_keys * p.kv_heads;
  // 16 more: rows are read in whole vectors.
  const int64_t total =
      numbers * threads + rows + keys * (p.dim_step * (p.decays ? 2 : 1) + 1) + 16;
  const Buffer memory(static_cast<std::size_t>(total) * sizeof(float),
                      "linear_attention_backward's workspace");
  backward.dq = memory.as<float>() + numbers * threads;
  backward.dk = backward.dq + rows;
  backward.dbeta = backward.dk + keys * p.dim_step;
  backward.dg = backward.dbeta + keys;
  (*pool).parallel_for(sequences * p.kv_heads * p.blocks, [&](int64_t task, int slot) {
    int64_t unused;
    backward.run(task, backward.scratch(memory.as<float>() + slot * numbers, &unused));
  });
  for (const LinearProblem::Sequence& seq : p.sequences) {
    (*pool).parallel_for(std::max(seq.rows, seq.keys), [&](int64_t token, int) {
      if (token < seq.rows) backward.finish_row(seq, token);
      if (token < seq.keys) backward.finish_key(seq, token);
    });
  }
}

}  // namespace regard
