// StreamDecoder: ids one by one to text, as soon as whole characters are there.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace regard {

// What push and finish return, put together, is Tokenizer::decode of all the ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, ControlTokens control = ControlTokens::drop);

  // The characters that this id completes, often none: at most three bytes are held back.
  // Throws Error(invalid_argument) for an id outside the vocabulary.
  std::string push(int32_t id);
  // What is held back, as U+FFFD. The decoder can then begin another text.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  ControlTokens control_;
  std::string held_;  // the beginning of a character
};

}  // namespace regard
