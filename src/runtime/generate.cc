#include "runtime/generate.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/check.h"
#include "regard/tokenizer.h"
#include "runtime/batch.h"
#include "runtime/sampler.h"
#include "runtime/stop_strings.h"
#include "tensor/pool.h"

namespace regard {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// One sequence on its way, and the text that it has become.
class Writer {
 public:
  Writer(const Checkpoint& checkpoint, const Batch& batch, std::span<const TokenId> prompt,
         int64_t index, const GenerateOptions& options)
      : checkpoint_(checkpoint),
        batch_(batch),
        begun_(checkpoint.model.encoder ? 1 : std::ssize(prompt)),
        limit_(std::min(options.tokens, checkpoint.model.config.context - begun_)),
        ignore_eos_(options.ignore_eos),
        sequence_(batch.start(
            checkpoint.model.encoder ? std::span(&checkpoint.model.config.start, 1) : prompt,
            begun_ + limit_)),
        sampler_(options.sampling, checkpoint.model.config.vocabulary),
        stops_(options.stop) {
    sequence_.text = index;
    if (checkpoint.tokenizer) decoder_.emplace(*checkpoint.tokenizer);
    result_.prompt_ids.assign(prompt.begin(), prompt.end());
    result_.ids.reserve(limit_);
    result_.text.reserve(kTextPerToken * limit_);
    piece_.reserve(kLongPiece);
  }

  Sequence& sequence() noexcept { return sequence_; }
  bool done() const noexcept { return done_; }
  int64_t begun() const noexcept { return begun_; }
  // Several tokens wait: the prompt, or a text that has to be gone through again.
  bool in_prompt() const noexcept { return sequence_.cached < begun_ || sequence_.waiting() > 1; }
  // Were the logits of this position not shown yet? Then they are now.
  bool show_once(int64_t position) noexcept {
    if (position < shown_) return false;
    shown_ = position + 1;
    return true;
  }
  Generation& result() noexcept { return result_; }

  // The logits behind the last cached token are there. Returns the text that may be shown now.
  std::string_view accept(std::span<const float> logits) {
    piece_.clear();
    if (limit_ == 0) return finish(FinishReason::length);
    const TokenId id = sampler_.draw(logits, sequence_.cached);
    if (!ignore_eos_ && checkpoint_.ends(id)) return finish(FinishReason::stop);
    result_.ids.push_back(id);
    sequence_.ids.push_back(id);
    batch_.grown(sequence_);
    if (decoder_ && has_text(id) && stops_.push(decoder_->push(id), piece_)) {
      stopped_ = true;
      return finish(FinishReason::stop);
    }
    if (std::ssize(result_.ids) == limit_) return finish(FinishReason::length);
    result_.text += piece_;
    return piece_;
  }

  // Between two steps: nothing was drawn.
  std::string_view interrupt() {
    piece_.clear();
    return finish(FinishReason::interrupted);
  }

 private:
  // No more tokens: what was held back follows the piece.
  std::string_view finish(FinishReason reason) {
    done_ = true;
    result_.finish_reason = reason;
    if (decoder_ && !stopped_) {
      if (!stops_.push(decoder_->finish(), piece_)) stops_.finish(piece_);
    }
    result_.text += piece_;
    return piece_;
  }

  // Rows of the head that fill a round number stand for no text.
  bool has_text(TokenId id) const { return id < checkpoint_.text().size(); }

  static constexpr int64_t kTextPerToken = 8;  // bytes; a guess that spares growing the text
  static constexpr int64_t kLongPiece = 256;

  const Checkpoint& checkpoint_;
  const Batch& batch_;
  int64_t begun_;  // tokens that the decoder is given: the prompt, or one where an encoder has it
  int64_t limit_;
  int64_t shown_ = 0;
  bool ignore_eos_;
  bool done_ = false;
  bool stopped_ = false;  // by a stop string
  Sequence sequence_;
  Sampler sampler_;
  StopStrings stops_;
  std::optional<StreamDecoder> decoder_;
  std::string piece_;
  Generation result_;
};

// All sequences and the one loop that drives them.
class Loop {
 public:
  Loop(Checkpoint& checkpoint, std::span<const std::vector<TokenId>> prompts,
       const GenerateOptions& options, const BatchTextSink& on_text)
      : checkpoint_(checkpoint),
        options_(options),
        on_text_(on_text),
        memory_(remember(checkpoint, prompts, options)),
        batch_(checkpoint.model, options.run, lengths(checkpoint, prompts, options),
               memory_ ? &*memory_ : nullptr) {
    writers_.reserve(prompts.size());
    for (const std::vector<TokenId>& prompt : prompts) {
      writers_.emplace_back(checkpoint, batch_, prompt, std::ssize(writers_), options);
      prompt_total_ += writers_.back().begun();
    }
    members_.reserve(prompts.size());
    int64_t most = static_cast<int64_t>(prompts.size());
    if (options.run.logits) {
      most += options.run.chunk > 0 ? std::min(options.run.chunk, prompt_total_) : prompt_total_;
    }
    wanted_.reserve(most);
    sources_.reserve(most);
  }

  std::vector<Generation> run() {
    while (put_together()) {
      if (options_.run.interrupt != nullptr && *options_.run.interrupt) {
        interrupt();
        break;
      }
      step();
    }
    std::vector<Generation> results;
    results.reserve(writers_.size());
    for (Writer& writer : writers_) results.push_back(std::move(writer.result()));
    return results;
  }

 private:
  struct Member {
    Writer* writer;
    int64_t tokens;
  };
  struct Source {  // of a row of logits
    Writer* writer;
    int64_t position;
    bool last;  // of what is waiting: the next token is drawn from it
  };

  static std::vector<int64_t> lengths(const Checkpoint& checkpoint,
                                      std::span<const std::vector<TokenId>> prompts,
                                      const GenerateOptions& options) {
    const int64_t context = checkpoint.model.config.context;
    std::vector<int64_t> all;
    for (const std::vector<TokenId>& prompt : prompts) {
      check_prompt(checkpoint.model.config, prompt);
      const int64_t begun = checkpoint.model.encoder ? 1 : std::ssize(prompt);
      all.push_back(begun + std::min(options.tokens, context - begun));
    }
    return all;
  }

  static std::optional<Memory> remember(const Checkpoint& checkpoint,
                                        std::span<const std::vector<TokenId>> prompts,
                                        const GenerateOptions& options) {
    if (!checkpoint.model.encoder) return std::nullopt;
    return std::make_optional<Memory>(checkpoint.model, options.run, prompts);
  }

  // Tokens in generation first, then prompts in order as far as the chunk reaches.
  bool put_together() {
    members_.clear();
    Schedule schedule(options_.run);
    for (Writer& writer : writers_) {
      if (!writer.done() && !writer.in_prompt()) members_.push_back({&writer, 1});
    }
    for (Writer& writer : writers_) {
      if (writer.done() || !writer.in_prompt()) continue;
      const int64_t tokens = schedule.share(writer.sequence().waiting());
      if (tokens > 0) members_.push_back({&writer, tokens});
    }
    return !members_.empty();
  }

  void step() {
    wanted_.clear();
    sources_.clear();
    int64_t row = 0;
    const int64_t prompt_before = prompt_done_;
    for (const Member& member : members_) {
      Sequence& sequence = member.writer->sequence();
      if (member.writer->in_prompt()) {
        prompt_done_ = std::min(prompt_done_ + member.tokens, prompt_total_);
      }
      for (int64_t i = 0; i < member.tokens; ++i, ++row) {
        const bool last = i + 1 == sequence.waiting();
        if (!last && !options_.run.logits) continue;
        wanted_.push_back(row);
        sources_.push_back({member.writer, sequence.cached + i, last});
      }
      batch_.add(sequence, member.tokens);
    }
    const Tensor hidden = batch_.run();
    batch_.logits(hidden, wanted_, [&](int64_t first, const Tensor& logits) {
      const auto rows = logits.view<float, 2>();
      for (int64_t i = 0; i < rows.shape[0]; ++i) {
        use(sources_[first + i], {rows[i].data, static_cast<std::size_t>(rows.shape[1])});
      }
    });
    if (options_.run.progress && prompt_done_ > prompt_before) {
      options_.run.progress(prompt_done_, prompt_total_);
    }
  }

  void use(const Source& source, std::span<const float> logits) {
    Writer& writer = *source.writer;
    const int64_t index = &writer - writers_.data();
    if (options_.run.logits && writer.show_once(source.position)) {
      options_.run.logits(index, source.position, logits);
    }
    if (!source.last) return;
    Timings& timings = writer.result().timings;
    if (source.position + 1 == writer.begun()) {
      timings.load_ms = checkpoint_.load_ms;
      timings.prefill_tokens = std::ssize(writer.result().prompt_ids);
      timings.prefill_ms = milliseconds_since(start_);
    } else {
      ++timings.decode_tokens;
      timings.decode_ms = milliseconds_since(start_) - timings.prefill_ms;
    }
    show(index, writer.accept(logits));
    if (writer.done()) batch_.finish(writer.sequence());
  }

  void interrupt() {
    for (Writer& writer : writers_) {
      if (!writer.done()) show(&writer - writers_.data(), writer.interrupt());
    }
  }

  void show(int64_t index, std::string_view piece) {
    if (on_text_ && !piece.empty()) on_text_(index, piece);
  }

  Clock::time_point start_ = Clock::now();
  Checkpoint& checkpoint_;
  const GenerateOptions& options_;
  const BatchTextSink& on_text_;
  std::optional<Memory> memory_;
  Batch batch_;
  std::vector<Writer> writers_;
  std::vector<Member> members_;
  std::vector<int64_t> wanted_;  // rows of the step whose logits are used
  std::vector<Source> sources_;  // and what each is
  int64_t prompt_total_ = 0;
  int64_t prompt_done_ = 0;
};

}  // namespace

void check_prompt(const models::DecoderConfig& config, std::span<const TokenId> ids) {
  require(!ids.empty(), "prompt: it has no tokens, at least 1 is needed");
  require(std::ssize(ids) <= config.context,
          "prompt: {} tokens are more than the model's context of {}", ids.size(), config.context);
  for (const TokenId id : ids) {
    require(id >= 0 && id < config.vocabulary, "prompt: id {} is not in 0 .. {}", id,
            config.vocabulary - 1);
  }
}

std::vector<Generation> generate(Checkpoint& checkpoint,
                                 std::span<const std::vector<TokenId>> prompts,
                                 const GenerateOptions& options, const BatchTextSink& on_text) {
  require(!checkpoint.model.blocks.empty(),
          "generate: {} is an encoder: it embeds texts and continues none", checkpoint.facts.path);
  require(options.tokens >= 0, "tokens: {} is negative", options.tokens);
  require(options.stop.empty() || checkpoint.tokenizer,
          "stop: the model has no tokenizer to make text with");
  check(options.sampling);
  check(options.run);
  const UsePool pool(checkpoint.pool);
  const DefaultFloatMode mode;
  return Loop(checkpoint, prompts, options, on_text).run();
}

}  // namespace regard
