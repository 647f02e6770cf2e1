// The generation loop: prompts in chunks, then a token a step for each sequence, all in one
// ragged batch.
#pragma once

#include <span>
#include <vector>

#include "runtime/checkpoint.h"

namespace regard {

// As Model::generate. The caller holds checkpoint.turn.
std::vector<Generation> generate(Checkpoint& checkpoint,
                                 std::span<const std::vector<TokenId>> prompts,
                                 const GenerateOptions& options, const BatchTextSink& on_text);

// Throws Error(invalid_argument) for an empty prompt, an id that is no token, and a prompt that
// is longer than the context.
void check_prompt(const models::DecoderConfig& config, std::span<const TokenId> ids);

}  // namespace regard
