#include "subwords/vocabulary.h"

#include <limits>
#include <utility>

#include "base/check.h"
#include "unicode/utf8.h"

namespace regard::subwords {
namespace {

int32_t checked_size(const std::vector<std::string>& tokens) {
  if (tokens.empty()) fail(ErrorKind::unreadable, "tokenizer: the vocabulary is empty");
  if (tokens.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    fail(ErrorKind::unreadable, "tokenizer: {} tokens are more than an id can count",
         tokens.size());
  return static_cast<int32_t>(tokens.size());
}

}  // namespace

Vocabulary::Vocabulary(const std::vector<std::string>& tokens, std::vector<TokenType> types)
    : texts_(checked_size(tokens)), types_(std::move(types)) {
  if (types_.empty()) types_.resize(tokens.size(), TokenType::normal);
  if (types_.size() != tokens.size())
    fail(ErrorKind::unreadable, "tokenizer: {} token types for {} tokens", types_.size(),
         tokens.size());
  for (size_t i = 0; i < types_.size(); ++i)
    if (types_[i] < TokenType::normal || types_[i] > TokenType::byte)
      fail(ErrorKind::unreadable, "tokenizer: token {} has type {}, not one of 1 to 6", i,
           static_cast<int>(types_[i]));
  for (const std::string& token : tokens) {
    const int32_t id = texts_.size();
    texts_.append(token);
    if (!token.empty() && !texts_.index(id))
      fail(ErrorKind::unreadable, "tokenizer: tokens {} and {} are both {}", *texts_.find(token),
           id, quoted(token));
  }
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  int characters = 0;
  while (!text.empty()) {
    if (++characters > 40) return out + "...'";
    const unicode::Utf8Step step = unicode::utf8_step(text);
    const auto first = static_cast<unsigned char>(text.front());
    if (step.kind == unicode::Utf8Step::Kind::character && first >= 0x20 && first != 0x7F) {
      out += text.substr(0, static_cast<size_t>(step.length));
    } else {
      for (int i = 0; i < step.length; ++i)
        out += fmt::format("<0x{:02X}>", static_cast<unsigned char>(text[static_cast<size_t>(i)]));
    }
    text.remove_prefix(static_cast<size_t>(step.length));
  }
  return out + "'";
}

}  // namespace regard::subwords
