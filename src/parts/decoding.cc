#include "parts/decoding.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "unicode/utf8.h"

namespace regard::parts {
namespace {

using Kind = DecodeStep::Kind;

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  if (from.empty()) return out = text;
  for (;;) {
    const size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "<0xE2>"; the reference's number parser lets a plus sign stand for the first digit.
std::optional<char> byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = token[3] == '+' ? 0 : hex_digit(token[3]), low = hex_digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

// What BERT's tokens lose of the spaces that joining them brings.
std::string cleaned(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kMends[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kMends) text = replaced(text, from, to);
  return text;
}

std::string word_piece(const DecodeStep& step, std::string_view token, bool first) {
  std::string text;
  if (!first && token.starts_with(step.from)) {
    text = token.substr(step.from.size());
  } else {
    if (!first) text = " ";
    text += token;
  }
  return step.clean ? cleaned(std::move(text)) : text;
}

// Up to `most` times `part` goes at the end of `text`.
std::string_view strip_end(std::string_view text, std::string_view part, int64_t most) {
  for (; most > 0 && !part.empty() && text.ends_with(part); --most) text.remove_suffix(part.size());
  return text;
}

bool needs_whole_tokens(const DecodeStep& step) {
  switch (step.kind) {
    case Kind::byte_fallback:
    case Kind::word_piece:
    case Kind::suffix:
      return true;
    case Kind::replace:
      return step.from.size() != 1;
    case Kind::strip:
      return step.stop > 0;
    default:
      return false;
  }
}

}  // namespace

std::string decode_one(const std::vector<DecodeStep>& steps, std::string_view token) {
  std::string text(token);
  for (const DecodeStep& step : steps) {
    switch (step.kind) {
      case Kind::byte_fallback:
        if (const auto byte = byte_token(text)) return {*byte};
        break;
      case Kind::replace:
        text = replaced(text, step.from, step.to);
        break;
      case Kind::metaspace:
      case Kind::suffix:
        text = replaced(text, step.from, " ");
        break;
      case Kind::word_piece:
        text = word_piece(step, text, /*first=*/false);
        break;
      case Kind::spaced:
        text = std::string(" ").append(text);
        break;
      case Kind::bytes:
      case Kind::fuse:
      case Kind::strip:
        break;
    }
  }
  return text;
}

void Decoding::feed(size_t index, Chunk chunk, std::string& out) {
  if (index == steps_->size()) {
    out += chunk.text;
    return;
  }
  const DecodeStep& step = (*steps_)[index];
  State& state = states_[index];
  if (needs_whole_tokens(step)) {
    if (chunk.begins && chunk.ends) return feed_whole(index, chunk.text, out);
    state.part += chunk.text;
    if (chunk.ends) feed_whole(index, std::exchange(state.part, {}), out);
    return;
  }
  if (chunk.begins) ++state.tokens;
  const bool first = state.tokens == 1;
  switch (step.kind) {
    case Kind::bytes:
      return feed_bytes(index, chunk.text, out);
    case Kind::fuse:
      return feed(index + 1, {chunk.text, first && chunk.begins, false}, out);
    case Kind::strip:
      return feed_strip(index, chunk, out);
    case Kind::metaspace:
      return feed(index + 1,
                  {replaced(chunk.text, step.from, step.drop_first && first ? "" : " "),
                   chunk.begins, chunk.ends},
                  out);
    case Kind::spaced:
      if (chunk.begins && !first) {
        feed(index + 1, {" ", true, false}, out);
        chunk.begins = false;
      }
      return feed(index + 1, chunk, out);
    default:  // replace
      return feed(index + 1, {replaced(chunk.text, step.from, step.to), chunk.begins, chunk.ends},
                  out);
  }
}

void Decoding::feed_whole(size_t index, std::string_view token, std::string& out) {
  const DecodeStep& step = (*steps_)[index];
  State& state = states_[index];
  const bool first = state.tokens++ == 0;
  switch (step.kind) {
    case Kind::byte_fallback:
      if (const auto byte = byte_token(token)) {
        state.held += *byte;
        return;
      }
      end_fallback(index, out);
      return feed(index + 1, {token, true, true}, out);
    case Kind::word_piece:
      return feed(index + 1, {word_piece(step, token, first), true, true}, out);
    case Kind::suffix:  // the last token is another's: each waits for the next
      if (!first) feed(index + 1, {replaced(state.held, step.from, " "), true, true}, out);
      state.held = token;
      return;
    case Kind::strip:
      for (int64_t cut = 0; cut < step.start && token.starts_with(step.from); ++cut)
        token.remove_prefix(step.from.size());
      return feed(index + 1, {strip_end(token, step.from, step.stop), true, true}, out);
    default:  // replace
      return feed(index + 1, {replaced(token, step.from, step.to), true, true}, out);
  }
}

void Decoding::feed_bytes(size_t index, std::string_view text, std::string& out) {
  State& state = states_[index];
  std::string characters;
  int cut;
  if (state.held.empty()) {
    cut = unicode::append_well_formed(text, characters);
    state.held = text.substr(text.size() - static_cast<size_t>(cut));
  } else {
    state.held += text;
    cut = unicode::append_well_formed(state.held, characters);
    state.held.erase(0, state.held.size() - static_cast<size_t>(cut));
  }
  feed(index + 1, {characters, state.tokens == 1, false}, out);
}

void Decoding::feed_strip(size_t index, Chunk chunk, std::string& out) {
  const DecodeStep& step = (*steps_)[index];
  State& state = states_[index];
  if (chunk.begins) {
    state.cut = 0;
    state.at_start = true;
  }
  while (state.at_start && !chunk.text.empty()) {
    state.at_start = state.cut < step.start && chunk.text.starts_with(step.from);
    if (!state.at_start) break;
    chunk.text.remove_prefix(step.from.size());
    ++state.cut;
  }
  feed(index + 1, chunk, out);
}

void Decoding::end_fallback(size_t index, std::string& out) {
  const std::string run = std::exchange(states_[index].held, {});
  if (run.empty()) return;
  if (unicode::first_invalid_utf8(run) < 0) return feed(index + 1, {run, true, true}, out);
  for (size_t i = 0; i < run.size(); ++i) feed(index + 1, {unicode::kReplacement, true, true}, out);
}

void Decoding::finish(std::string& out) {
  for (size_t index = 0; index < steps_->size(); ++index) {
    const DecodeStep& step = (*steps_)[index];
    State& state = states_[index];
    switch (step.kind) {
      case Kind::byte_fallback:
        end_fallback(index, out);
        break;
      case Kind::bytes:
        if (state.tokens > 0)
          feed(index + 1, {state.held.empty() ? "" : unicode::kReplacement, false, true}, out);
        break;
      case Kind::fuse:
        if (state.tokens > 0) feed(index + 1, {"", false, true}, out);
        break;
      case Kind::suffix:
        if (state.tokens > 0)
          feed(index + 1, {replaced(state.held, step.from, ""), true, true}, out);
        break;
      default:
        break;
    }
    state = {};
  }
}

}  // namespace regard::parts
