// Model: a language model from a file, ready to continue text and to score it.
//
//   auto model = regard::Model::load("smollm2");
//   model.generate("The trophy", {.tokens = 64}, [](std::string_view piece) { std::cout << piece;
//   });
//
// The numbers depend on the file, the tokens, the cache's dtype and the seed alone: not on threads,
// chunk, page, neighbours in a batch, or the machine's vector width.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regard/chat.h"
#include "regard/dtype.h"
#include "regard/tokenizer.h"

namespace regard {

using TokenId = int32_t;

struct LoadOptions {
  int threads = 0;  // 0 = all cores
};

// How the next token is drawn: temperature, then top-k, top-p and min-p, each on what the one
// before left over. The draw depends on the logits, the seed and the position alone.
struct SamplingOptions {
  float temperature = 0;  // 0 = greedy: the largest logit, the lowest id among equals
  int top_k = 0;          // keep the k likeliest; 0 = all
  float top_p = 1;        // keep the likeliest until their sum reaches p, in (0, 1]; 1 = all
  float min_p = 0;        // keep p >= min_p · p of the likeliest, in [0, 1]; 0 = all
  uint64_t seed = 0;
};

// The logits [vocabulary] of one position; valid during the call. Positions of a sequence arrive
// in order, those of different sequences interleave.
using LogitsSink =
    std::function<void(int64_t sequence, int64_t position, std::span<const float> logits)>;

// How a batch goes through the model. None of it changes a result, except kv.
struct RunOptions {
  int64_t chunk = 512;     // most prompt tokens in one step; 0 = whole prompts at once
  int64_t page = 64;       // keys in a cache page: 16, 32 or 64
  DType kv = DType::f16;   // keys and values are stored as: f32, f16, bf16, i8
  LogitsSink logits = {};  // if set, is shown the logits of every position
  std::function<void(int64_t done, int64_t total)> progress = {};  // prompt tokens, after each step
  const std::atomic<bool>* interrupt = nullptr;  // looked at before each step; true = stop there
};

struct GenerateOptions {
  int64_t tokens = 256;  // at most so many; the end of the context ends it too
  SamplingOptions sampling = {};
  std::vector<std::string> stop = {};  // the text ends before the first of these that appears
  bool ignore_eos = false;             // go on after an end token
  RunOptions run = {};
};

enum class FinishReason { stop, length, interrupted };
std::string_view name(FinishReason reason) noexcept;

// Of one sequence. In a batch the clock runs for all sequences together.
struct Timings {
  double load_ms = 0;  // of the model, when it was loaded
  int64_t prefill_tokens = 0;
  double prefill_ms = 0;      // from the start to the logits after the prompt
  int64_t decode_tokens = 0;  // steps of one token that followed
  double decode_ms = 0;
};

struct Generation {
  std::vector<TokenId> prompt_ids;
  std::vector<TokenId> ids;  // what was generated, without the end token
  std::string text;          // of ids, ended before a stop string; always valid UTF-8
  FinishReason finish_reason = FinishReason::length;
  Timings timings;
};

struct ScoreOptions {
  int64_t top = 0;  // how many of the largest logits to report; 0 = none
  RunOptions run = {};
};

struct Score {
  int64_t token_count = 0;
  double mean_nll = 0;    // nats, over tokens 1 .. n - 1 given those before; NaN when n = 1
  double perplexity = 0;  // e^mean_nll
  std::string bits;       // XXH64, 16 hex digits, of the little-endian f32 logits of all positions
  std::vector<std::pair<TokenId, float>> top;  // for the position after the last token
  double ms = 0;
};

struct ForwardOptions {
  bool hidden_states = true;
  RunOptions run = {};  // kv f32 keeps keys and values as they are computed
};

// What a model makes of every token of a sequence, row-major.
struct Forward {
  int64_t tokens = 0, layers = 0, width = 0, vocabulary = 0;
  std::vector<float> logits;  // [tokens, vocabulary]; empty for an encoder, which has none
  // [layers + 1, tokens, width]: the embedding, then what each block gives, the last behind the
  // final norm, as transformers' output_hidden_states; empty unless asked for.
  std::vector<float> hidden_states;
};

// How the states of a text's tokens become one vector.
enum class Pooling {
  mean,  // of all of them
  cls,   // that of the first token
  last,  // that of the last
  max,   // the largest of all, number by number
};
std::string_view name(Pooling pooling) noexcept;

struct EmbedOptions {
  std::optional<Pooling> pooling = {};  // default: the checkpoint's, else mean
  std::optional<bool> normalise = {};   // to length 1; default: as the checkpoint says, else true
  bool truncate = false;  // a longer text than the context keeps its beginning and its last token
  std::function<void(int64_t done, int64_t total)> progress = {};  // texts
  const std::atomic<bool>* interrupt = nullptr;  // looked at between passes; true = fails there
};

struct Embeddings {
  int64_t width = 0;
  std::vector<float> numbers;             // [texts, width]
  std::vector<std::vector<TokenId>> ids;  // of each text, special tokens included
  double ms = 0;

  std::span<const float> operator[](int64_t text) const {
    return std::span(numbers).subspan(static_cast<std::size_t>(text * width),
                                      static_cast<std::size_t>(width));
  }
};

using TextSink = std::function<void(std::string_view piece)>;
using BatchTextSink = std::function<void(int64_t sequence, std::string_view piece)>;

struct Checkpoint;  // runtime/checkpoint.h: what stands behind a Model

// Facts of the file that was loaded.
struct ModelFacts {
  std::string path;
  std::string architecture;  // GGUF's name of the family
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t dim = 0;  // of a head
  int64_t width = 0;
  int64_t vocabulary = 0;
  int64_t context = 0;       // most tokens of a sequence
  int64_t weight_bytes = 0;  // read for one decoded token, by an encoder for a text
};

class Model {
 public:
  // name_or_path: a path, used as it is, or a name such as "smollm2", looked up by find_model. A
  // path is a GGUF file (any part of a split one), a folder as transformers saves it, or a
  // .safetensors file with its config.json beside it.
  // Throws Error(unreadable) that names the file and the rule, and for a name the remedy.
  static Model load(const std::string& name_or_path, const LoadOptions& options = {});

  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  const ModelFacts& facts() const noexcept;

  // Text to ids and back. encode adds what the model wants at the start of a text.
  // Throws Error(invalid_argument) for text that is not UTF-8 and for ids outside the vocabulary.
  std::vector<TokenId> encode(std::string_view text) const;
  // A rendered chat: control tokens are the template's alone, and nothing is added around it.
  std::vector<TokenId> encode(const RenderedChat& chat) const;
  std::string decode(std::span<const TokenId> ids) const;
  // One token alone; a piece of a character as <0xE2>, a row that no token is known for as #7.
  std::string token_text(TokenId id) const;
  // Throws Error(unreadable), saying why, when the file has no tokenizer that regard knows.
  const Tokenizer& tokenizer() const;

  // The chat template that came with the model, or null; models may have further ones by name.
  const ChatTemplate* chat_template(std::string_view name = "default") const noexcept;

  // Continues a prompt; of an encoder-decoder (T5) the encoder is given it, and the decoder answers
  // from its own start. on_text is given whole characters as they come; together they are text.
  // Throws Error(invalid_argument) for options outside the rules above, an empty prompt and a
  // prompt longer than the context.
  Generation generate(std::string_view prompt, const GenerateOptions& options = {},
                      const TextSink& on_text = {}) const;
  Generation generate(std::span<const TokenId> prompt, const GenerateOptions& options = {},
                      const TextSink& on_text = {}) const;

  // Many prompts as one ragged batch; each result is what it would be alone.
  std::vector<Generation> generate(std::span<const std::vector<TokenId>> prompts,
                                   const GenerateOptions& options = {},
                                   const BatchTextSink& on_text = {}) const;

  // How likely the tokens are, and the hash of every logit.
  Score score(std::span<const TokenId> ids, const ScoreOptions& options = {}) const;
  std::vector<Score> score(std::span<const std::vector<TokenId>> batch,
                           const ScoreOptions& options = {}) const;

  // Logits and hidden states of every token.
  Forward forward(std::span<const TokenId> ids, const ForwardOptions& options = {}) const;
  std::vector<Forward> forward(std::span<const std::vector<TokenId>> batch,
                               const ForwardOptions& options = {}) const;

  // A vector for each text, by the model's encoder. Texts run together without padding; none has
  // any bearing on another's numbers.
  // Throws Error(invalid_argument) for a model without an encoder, and for a text that is empty,
  // longer than the context (unless options.truncate) or holds an id that is none.
  Embeddings embed(std::span<const std::string> texts, const EmbedOptions& options = {}) const;
  Embeddings embed(std::span<const std::vector<TokenId>> texts,
                   const EmbedOptions& options = {}) const;

  // For the rooms that look inside. Calls on one model take turns; two models are independent.
  Checkpoint& checkpoint() const noexcept { return *checkpoint_; }

 private:
  explicit Model(std::unique_ptr<Checkpoint> checkpoint) noexcept;
  std::unique_ptr<Checkpoint> checkpoint_;
};

// The folder of pulled models: $REGARD_CACHE, else $XDG_CACHE_HOME/regard, else ~/.cache/regard.
std::string cache_folder();

// The file or folder of a model. What holds a '/', ends in ".gguf" or ".safetensors" or is "." or
// ".." is a path and comes back as it is; any other word is a name: <cache_folder()>/<name>.gguf,
// or the folder <cache_folder()>/<name> with a config.json. Throws Error(unreadable) for a name
// without either, naming `regard pull <name>`.
std::string find_model(const std::string& name_or_path);

}  // namespace regard
