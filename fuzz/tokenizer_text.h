// What holds for every tokenizer and text, for the fuzz targets of tokenizers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "bytes.h"
#include "regard/error.h"
#include "regard/tokenizer.h"
#include "unicode/utf8.h"

namespace regard {

inline void expect(bool holds, std::string_view what) {
  if (!holds) complain(what);
}

inline void expect_clean(const Error& error, ErrorKind kind) {
  const std::string_view message = error.what();
  expect(error.kind() == kind, "the kind of error");
  expect(!message.empty() && message.find('\n') == std::string_view::npos, "one line of message");
}

// Ids one by one, and all at once, are the same text, made of whole characters.
inline void expect_streams(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                           ControlTokens control) {
  StreamDecoder stream(tokenizer, control);
  std::string streamed;
  for (const int32_t id : ids) {
    const std::string piece = stream.push(id);
    expect(unicode::first_invalid_utf8(piece) < 0, "whole characters");
    streamed += piece;
  }
  expect(streamed + stream.finish() == tokenizer.decode(ids, control), "streamed is whole");
}

}  // namespace regard
