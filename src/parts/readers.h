// The parts of tokenizer.json, each read into what does its work. One file a part, with a table of
// the types it knows. All throw Error(unreadable) that names the key.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "normalise/normaliser.h"
#include "parts/decoding.h"
#include "parts/ends.h"
#include "parts/part.h"
#include "split/pre_tokenizer.h"
#include "subwords/model.h"
#include "subwords/vocabulary.h"

namespace regard::parts {

// Parts that hold parts ("Sequence") hold at most this many of them in all.
constexpr size_t kMostSteps = 64;

normalise::Step read_normaliser(const Part& part);

struct PreTokenizing {
  split::Step step;         // null: a text is one word
  bool byte_level = false;  // the vocabulary is written in GPT-2's alphabet
};
PreTokenizing read_pre_tokenizer(const Part& part);

// The model's own vocabulary, as id and text, in no order.
std::vector<std::pair<int32_t, std::string_view>> read_vocabulary(const Part& model);

// `vocabulary` holds the model's tokens and the added ones, and must outlive the model.
struct ModelContext {
  const subwords::Vocabulary& vocabulary;
  bool byte_level;
};
using ModelPointer = std::unique_ptr<const subwords::Model>;
ModelPointer read_model(const Part& part, const ModelContext& context);
ModelPointer read_bpe(const Part& part, const ModelContext& context);
ModelPointer read_word_piece(const Part& part, const ModelContext& context);
ModelPointer read_unigram(const Part& part, const ModelContext& context);

std::vector<DecodeStep> read_decoder(const Part& part);

Ends read_ends(const Part& part, const subwords::Vocabulary& vocabulary);

}  // namespace regard::parts
