// Embeddings of texts: the encoder's states of a text's tokens, pooled.
#pragma once

#include <span>
#include <vector>

#include "runtime/checkpoint.h"

namespace regard {

// As Model::embed. The caller holds checkpoint.turn.
Embeddings embed(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> texts,
                 const EmbedOptions& options);

}  // namespace regard
