// Logits and hidden states of every token, for those who compute with them.
#pragma once

#include <span>
#include <vector>

#include "runtime/checkpoint.h"

namespace regard {

// As Model::forward. The caller holds checkpoint.turn.
std::vector<Forward> forward(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> batch,
                             const ForwardOptions& options);

}  // namespace regard
