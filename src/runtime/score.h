// How likely a text is: every position's logits are made, used and hashed in slices.
#pragma once

#include <span>
#include <vector>

#include "runtime/checkpoint.h"

namespace regard {

// As Model::score. The caller holds checkpoint.turn.
std::vector<Score> score(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> batch,
                         const ScoreOptions& options);

}  // namespace regard
