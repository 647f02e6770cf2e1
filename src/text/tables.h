// What a Tokenizer is made of. Two ways lead here: a spec (GGUF), and a tokenizer.json.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "normalise/normaliser.h"
#include "parts/decoding.h"
#include "parts/ends.h"
#include "regard/tokenizer.h"
#include "split/pre_tokenizer.h"
#include "subwords/model.h"
#include "subwords/vocabulary.h"
#include "text/special_tokens.h"

namespace regard {

struct Tokenizer::Tables {
  explicit Tables(subwords::Vocabulary tokens)
      : vocabulary(std::move(tokens)), inputs(1), shown(1) {}

  static std::shared_ptr<const Tables> from(TokenizerSpec spec);
  static std::shared_ptr<const Tables> from_json(std::string_view tokenizer,
                                                 std::string_view config);

  const subwords::Vocabulary vocabulary;
  // text -> found as they stand -> normalised -> found in that -> cut into words -> ids
  text::SpecialTokens raw, normalised;
  normalise::Step normaliser;  // null: none
  split::Step pre_tokenizer;   // null: a stretch is one word
  std::unique_ptr<const subwords::Model> model;
  parts::Ends ends;
  bool is_bos_once = false;    // not added if the text begins with it
  bool ends_at_origin = true;  // what is added has the range [0, 0)
  // ids -> what the decoder reads -> text
  subwords::StringTable inputs;  // [tokens]
  std::vector<parts::DecodeStep> decoder;
  subwords::StringTable shown;  // [tokens] what each stands for inside a text

  std::optional<int32_t> bos, eos;
  std::vector<int32_t> generation_ends;  // sorted

  // Fills shown from inputs and decoder, and generation_ends; the last step of both ways.
  void finish(std::vector<std::optional<int32_t>> known_ends);

  // Holes in the vocabulary are no tokens, whatever is asked for.
  bool is_decoded(int32_t id, ControlTokens control) const noexcept {
    return (control == ControlTokens::keep || !vocabulary.is_reserved(id)) && !inputs[id].empty();
  }
  int32_t checked(int32_t id, std::string_view call) const;
  void encode(std::string_view text, const EncodeOptions& options, subwords::Output& out) const;

 private:
  void encode_part(std::string_view text, text::SpecialTokens::Piece part,
                   const EncodeOptions& options, subwords::Output& out) const;
  void encode_words(split::Words words, subwords::Output& out) const;
};

}  // namespace regard
