#include "text/stream_decoder.h"

#include <string_view>
#include <utility>

#include "unicode/utf8.h"

namespace regard {

StreamDecoder::StreamDecoder(Tokenizer tokenizer, ControlTokens control)
    : tokenizer_(std::move(tokenizer)), control_(control) {}

std::string StreamDecoder::push(int32_t id) {
  const std::string_view bytes = tokenizer_.bytes(id);
  const TokenType type = tokenizer_.type(id);
  const bool reserved = type == TokenType::control || type == TokenType::unknown;
  if (reserved && control_ == ControlTokens::drop) return {};
  held_ += bytes;
  std::string out;
  const int cut = unicode::append_well_formed(held_, out);
  held_.erase(0, held_.size() - static_cast<size_t>(cut));
  return out;
}

std::string StreamDecoder::finish() {
  std::string out;
  if (!held_.empty()) out = unicode::kReplacement;
  held_.clear();
  return out;
}

}  // namespace regard
