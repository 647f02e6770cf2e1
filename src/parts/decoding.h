// Decoding: tokens as the vocabulary writes them to text, one by one. The steps are the decoders of
// tokenizer.json; each takes tokens and passes tokens on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace regard::parts {

struct DecodeStep {
  enum class Kind {
    bytes,          // ByteLevel behind the alphabet: tokens are bytes, their characters one token
    byte_fallback,  // runs of "<0xE2>" become their characters; a broken run U+FFFD for each byte
    fuse,           // all tokens become one
    replace,        // `from` becomes `to`
    strip,          // up to `start` times `from` go in front, up to `stop` times behind
    metaspace,      // `from` becomes a space; in the first token nothing, if `drop_first`
    word_piece,     // tokens without `from` in front get a space; `clean` mends punctuation
    suffix,         // `from` becomes a space, in the last token nothing
    spaced,         // a space between tokens
  };
  Kind kind;
  std::string from = {};
  std::string to = {};
  int64_t start = 0, stop = 0;
  bool drop_first = false;
  bool clean = false;
};

// What a token becomes in the middle of a text.
std::string decode_one(const std::vector<DecodeStep>& steps, std::string_view token);

// One text on its way. What push and finish append, put together, is the text.
class Decoding {
 public:
  // `steps` must outlive this.
  explicit Decoding(const std::vector<DecodeStep>& steps) : steps_(&steps), states_(steps.size()) {}

  void push(std::string_view token, std::string& out) { feed(0, {token, true, true}, out); }
  void finish(std::string& out);

 private:
  struct Chunk {  // of a token
    std::string_view text;
    bool begins, ends;
  };
  struct State {
    int64_t tokens = 0;     // begun so far
    int64_t cut = 0;        // strip: how often in this token
    bool at_start = false;  // strip: has this token shown nothing yet?
    std::string part;       // of a token that has not ended
    std::string held;       // bytes, or the token before
  };

  void feed(size_t step, Chunk chunk, std::string& out);
  void feed_whole(size_t step, std::string_view token, std::string& out);
  void feed_bytes(size_t step, std::string_view text, std::string& out);
  void feed_strip(size_t step, Chunk chunk, std::string& out);
  void end_fallback(size_t step, std::string& out);  // of a run of byte tokens

  const std::vector<DecodeStep>* steps_;
  std::vector<State> states_;  // [steps]
};

}  // namespace regard::parts
