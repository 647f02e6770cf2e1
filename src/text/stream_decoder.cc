#include <memory>
#include <string>
#include <utility>

#include "regard/tokenizer.h"
#include "text/tables.h"

namespace regard {

struct StreamDecoder::State {
  parts::Decoding decoding;
};

StreamDecoder::StreamDecoder(Tokenizer tokenizer, ControlTokens control)
    : tokenizer_(std::move(tokenizer)),
      control_(control),
      state_(new State{parts::Decoding(tokenizer_.tables_->decoder)}) {}

StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(const StreamDecoder& other)
    : tokenizer_(other.tokenizer_), control_(other.control_), state_(new State(*other.state_)) {}
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder other) noexcept {
  std::swap(tokenizer_, other.tokenizer_);
  std::swap(control_, other.control_);
  std::swap(state_, other.state_);
  return *this;
}

std::string StreamDecoder::push(int32_t id) {
  const Tokenizer::Tables& tables = *tokenizer_.tables_;
  tables.checked(id, "decode");
  std::string out;
  if (tables.is_decoded(id, control_)) state_->decoding.push(tables.inputs[id], out);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out;
  state_->decoding.finish(out);
  return out;
}

}  // namespace regard
