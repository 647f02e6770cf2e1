// From settings and tensors to encoders, and to the decoders that look at their output.
#pragma once

#include "models/decoder.h"
#include "models/encoder.h"
#include "models/settings.h"
#include "models/weights.h"

namespace regard::models {

// BERT's form: post-norm, positions that are added, no decoder; the result's `encoder` is all.
// Throws Error(unreadable) that names the file, the tensor, the rule and the numbers.
Decoder build_encoder(const Settings& settings, const Weights& weights);

// T5's form: pre-norm, distances in buckets, cross-attention.
Decoder build_encoder_decoder(const Settings& settings, const Weights& weights);

// s + table[bucket(j - i), head], table [buckets, heads], as one look-up by distance and head.
Expr bucket_bias(std::span<const float> table, int64_t heads, const EncoderSettings& settings,
                 bool bidirectional);

}  // namespace regard::models
