#include "models/settings.h"

#include "base/check.h"

namespace regard::models {
namespace {

template <class... Args>
void ask(bool holds, const std::string& file, fmt::format_string<Args...> rule, Args&&... args) {
  if (holds) return;
  fail(ErrorKind::unreadable, "{}: {}", file, fmt::format(rule, std::forward<Args>(args)...));
}

void check(const RopeSettings& rope, int64_t dim, const std::string& file) {
  constexpr float kMostBase = 1e12f;
  constexpr float kMost = 1e6f;
  if (rope.dim == 0) return;
  ask(rope.dim > 0 && rope.dim <= dim && rope.dim % 2 == 0, file,
      "rope.dimension_count ({}) is not even or above the head size ({})", rope.dim, dim);
  ask(rope.base >= 1 && rope.base <= kMostBase, file, "rope.freq_base ({}) is not in 1 .. {}",
      rope.base, kMostBase);
  ask(rope.scale >= 1 / kMost && rope.scale <= kMost, file,
      "rope.scaling.factor ({}) is not in {} .. {}", rope.scale, 1 / kMost, kMost);
  ask(rope.amplitude > 0 && rope.amplitude <= kMost, file,
      "rope.scaling.attn_factor ({}) is not in 0 .. {}", rope.amplitude, kMost);
  for (const std::vector<float>* factors : {&rope.factors, &rope.far_factors}) {
    ask(factors->empty() || std::ssize(*factors) == rope.dim / 2, file,
        "there are {} rope factors for {} frequencies", factors->size(), rope.dim / 2);
    for (const float factor : *factors) {
      ask(factor > 0 && factor <= 1e30f, file,
          "rope factors (rope_freqs.weight) hold {}, a divisor must be positive", factor);
    }
  }
  ask(rope.far_factors.empty() || rope.near >= 1, file,
      "rope.scaling.original_context_length ({}) is not positive", rope.near);
  if (!rope.yarn) return;
  const Yarn& yarn = *rope.yarn;
  ask(yarn.factor >= 1 / kMost && yarn.factor <= kMost, file,
      "rope.scaling.factor ({}) is not in {} .. {}", yarn.factor, 1 / kMost, kMost);
  ask(yarn.original_context >= 1 && rope.base > 1, file,
      "yarn has an original context of {} and a base of {}", yarn.original_context, rope.base);
  ask(yarn.beta_fast > 0 && yarn.beta_fast <= kMost && yarn.beta_slow > 0 &&
          yarn.beta_slow <= yarn.beta_fast,
      file, "yarn's beta_slow ({}) is not above 0 and at most beta_fast ({})", yarn.beta_slow,
      yarn.beta_fast);
  ask(yarn.attention > 0 && yarn.attention <= kMost, file,
      "yarn's attention factor ({}) is not in 0 .. {}", yarn.attention, kMost);
}

}  // namespace

void check(const Settings& s, const std::string& file) {
  ask(s.layers >= 1 && s.layers <= kMostLayers, file, "block_count ({}) is not in 1 .. {}",
      s.layers, kMostLayers);
  ask(s.heads >= 1 && s.kv_heads >= 1 && s.heads % s.kv_heads == 0, file,
      "head_count ({}) is no multiple of head_count_kv ({})", s.heads, s.kv_heads);
  ask(s.dim >= 1 && s.dim <= kMostDim && s.dim_v >= 1 && s.dim_v <= kMostDim, file,
      "the head sizes ({}, {}) are not in 1 .. {}; embedding_length is {}, head_count {}", s.dim,
      s.dim_v, kMostDim, s.width, s.heads);
  ask(std::ssize(s.inner) == s.layers, file, "feed_forward_length has {} entries for {} layers",
      s.inner.size(), s.layers);
  ask(s.epsilon >= 0 && s.epsilon <= 1, file,
      "the norms' epsilon (layer_norm_epsilon, layer_norm_rms_epsilon: {}) is not in 0 .. 1",
      s.epsilon);
  check(s.rope, s.dim, file);
  if (s.form == Form::encoder_decoder) {
    const EncoderSettings& e = s.encoder;
    ask(e.farthest > e.buckets / 2, file,
        "the relative buckets' max distance ({}) is not above half their count ({})", e.farthest,
        e.buckets);
    ask(e.decoder_start >= 0 && e.decoder_start < s.vocabulary, file,
        "decoder_start_token_id ({}) is not in 0 .. {}", e.decoder_start, s.vocabulary - 1);
  }
  if (s.local_rope) check(*s.local_rope, s.dim, file);
  ask(s.alibi >= 0 && s.alibi <= 64, file, "attention.max_alibi_bias ({}) is not in 0 .. 64",
      s.alibi);
  ask(s.window >= 0 && (s.local.empty() || std::ssize(s.local) == s.layers), file,
      "sliding_window is {}, its pattern has {} entries for {} layers", s.window, s.local.size(),
      s.layers);
  for (const float cap : {s.score_cap, s.logit_cap}) {
    ask(cap >= 0 && cap <= 1e9f, file, "a soft cap ({}) is not in 0 .. 1e9", cap);
  }
  ask(s.attention_scale >= 0 && s.attention_scale <= 1e9f, file,
      "attention.scale ({}) is not in 0 .. 1e9", s.attention_scale);
  ask(s.experts >= 0 && s.experts <= kMostExperts &&
          (s.experts == 0 || (s.experts_used >= 1 && s.experts_used <= s.experts)),
      file, "expert_used_count ({}) is not in 1 .. expert_count ({})", s.experts_used, s.experts);
  for (const int64_t inner : s.inner) {
    ask(s.experts == 0 || inner == s.inner.front(), file,
        "feed_forward_length differs between layers ({} and {}), which experts do not support",
        s.inner.front(), inner);
  }
}

}  // namespace regard::models
