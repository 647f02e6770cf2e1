// Documents: the texts that training reads, as ids, with how much each target counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/tokens.h"

namespace regard::data {

// Which targets count.
enum class Loss : uint8_t {
  all,     // every token
  answer,  // what stands behind the prompt; all of a text that has none
};

struct ReadOptions {
  // In front of which a plain text is cut into documents; empty: a file is one. It is left out.
  std::string separator = {};
  Loss loss = Loss::all;
  // Does the end of a document count: is the boundary token foreseen behind it?
  bool boundary = true;
};

// The token behind the last of a document, the boundary, is a target only.
struct Document {
  std::vector<Id> ids = {};
  std::vector<float> weights = {};  // [ids] of each as a target: that of the first never counts
  bool ended = false;               // is its last id the boundary?
};

// Plain texts; of files that end in .jsonl each line is an object: {"text": ..} or
// {"prompt": .., "answer": ..}, and "weight" if it counts more or less than others.
// Throws Error(unreadable) naming file, line, key and rule.
std::vector<Document> read_documents(const std::vector<std::string>& files, const Tokens& tokens,
                                     const ReadOptions& options);

}  // namespace regard::data
