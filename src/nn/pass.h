// Pass: what a step through the layers needs where nothing is cached, as in training: texts one
// behind another, their plans, and with an encoder its states.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nn/step.h"

namespace regard::nn {

// Texts in one array of tokens. Tokens that belong to no text are padding: nobody sees them, they
// see nobody, and no gradient comes from them through attention.
struct Texts {
  std::vector<Segment> segments = {};   // each text looks at itself
  std::vector<int32_t> positions = {};  // [tokens], within its text; padding stands at 0
  int64_t tokens() const noexcept { return std::ssize(positions); }

  // One behind another.
  static Texts packed(std::span<const int64_t> lengths);
  // Each begins at a multiple of `length`. Throws Error for a text that is longer.
  static Texts padded(std::span<const int64_t> lengths, int64_t length);
};

// How the layers of one kind attend: a plan of these is made for each pass.
struct Kind {
  AttentionOptions options = {};
  std::vector<CapturedLeaf> learned = {};  // arrays of the options that training changes
  AttentionShape shape = {};
};

// What a decoder looks at: states [their tokens, width], on the tape, of as many texts as its own.
struct Source {
  Tensor states;
  Texts texts;
  Kind kind = {};
};

// What a pass may be asked for besides its result.
struct PassOptions {
  std::optional<uint64_t> random = {};  // of dropout, another in each step; nothing: evaluation
  Observer* observer = nullptr;
};

class Pass : public std::enable_shared_from_this<Pass> {
 public:
  // Kinds of self-attention in the order of Attention::kind; that of the source, if any, is the one
  // behind them.
  static std::shared_ptr<Pass> make(Texts texts, std::vector<Kind> kinds,
                                    const PassOptions& options = {},
                                    std::optional<Source> source = {});

  // Lives on its own: it keeps the pass.
  Step step() const;
  const Texts& texts() const noexcept { return texts_; }

 private:
  Pass() = default;
  void plan(const std::vector<Segment>& segments, const Kind& kind);

  Texts texts_;
  std::vector<Kind> kinds_;
  std::optional<Source> source_;
  std::vector<Segment> cross_;  // the decoder's rows over the source's keys
  std::vector<AttentionPlan> plans_;
  std::vector<AttentionStep> steps_;
  PassOptions options_;
};

}  // namespace regard::nn
