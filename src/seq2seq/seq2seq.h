// Sequence to sequence with recurrent networks: an encoder reads the source, a decoder writes the
// target, and what passes between them is one vector or an alignment.
//
//   init        the encoder's last state is the decoder's first: Sutskever, Vinyals and Le 2014
//   every_step  the last state is given to each step besides: Cho et al. 2014
//   bahdanau    each step looks at the whole source: Bahdanau, Cho and Bengio 2015
//   luong       so does each step's outcome: Luong, Pham and Manning 2015
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/linear.h"
#include "nn/make.h"
#include "recurrent/alignment.h"
#include "seq2seq/recurrent_layer.h"

namespace regard::seq2seq {

using Id = int32_t;

enum class Context : uint8_t { init, every_step, bahdanau, luong };
// What asks: s_{t-1}, and the context is part of the cell's input (2015); or s_t, and the context
// is joined to it afterwards as in Luong's decoder.
enum class Query : uint8_t { previous_state, state };      // of bahdanau
enum class LuongScore : uint8_t { dot, general, concat };  // of luong

struct Config {
  int64_t source_vocabulary = 0;
  int64_t target_vocabulary = 0;
  int64_t width = 64;    // of embeddings
  int64_t hidden = 128;  // of the encoder's each direction, and of the decoder
  int64_t units = 0;     // of additive scores; 0: hidden
  Cell cell = Cell::lstm;
  bool bidirectional = false;
  Context context = Context::bahdanau;
  Query query = Query::previous_state;
  LuongScore score = LuongScore::general;
  Id start = 1, stop = 2;  // of the target
};

// Sequences of different lengths side by side.
struct Padded {
  std::vector<Id> ids;  // [time, batch], `filler` behind each end
  std::vector<int64_t> lengths;
  int64_t time = 0;
  int64_t batch() const noexcept { return std::ssize(lengths); }
};
// Throws Error for no sequences; a sequence may be empty.
Padded pad(std::span<const std::vector<Id>> sequences, Id filler = 0);

struct Taught {
  Tensor
      logits;   // [time, batch, target_vocabulary]; step t is asked for target t, at last for stop
  Tensor loss;  // [1]: mean over all target tokens, in nats
  Tensor weights;  // α [batch, time, source]; empty without attention
};

struct Written {
  std::vector<Id> ids;                      // without stop
  std::vector<std::vector<float>> weights;  // of each id, over the source; empty without attention
  bool stopped = false;                     // by the stop token, not by the limit
};

class Seq2Seq {
 public:
  // Leaves are called encoder.*, decoder.*, attention.*, source.weight, target.weight, output.*
  // and, where states change their width, bridge_h.*, bridge_c.*. Throws Error naming a size that
  // is wrong.
  Seq2Seq(const Config& config, const nn::Maker& make);

  const Config& config() const noexcept { return config_; }

  // Teacher forcing. Both hold as many sequences; sources are not empty.
  Taught operator()(const Padded& source, const Padded& target) const;

  // The likeliest token at each step, until stop or `longest` tokens.
  std::vector<Written> greedy(const Padded& source, int64_t longest) const;

 private:
  // What the decoder knows of the source.
  struct Source {
    RecurrentState first;
    Tensor vector;  // [batch, width of memory]: the encoder's last state
    Tensor values;  // [batch, source, width of memory]
    Tensor keys;    // [batch, source, units], where there is a score of keys
    std::span<const int64_t> lengths;
  };
  struct Steps {
    Tensor logits;  // [time · batch, target_vocabulary]
    Tensor weights;
    RecurrentState last;  // of steps without lengths
  };
  Source encode(const Padded& source) const;
  Tensor keys_of(const Tensor& values) const;
  AdditiveAttention attention(const Source& source) const;
  bool looks_back() const noexcept;  // the context is part of the recurrence
  Steps steps(const Source& source, std::span<const Id> inputs, int64_t time,
              const RecurrentState& first, std::span<const int64_t> lengths,
              const RecurrentPanels* panels) const;

  Config config_;
  nn::Embedding source_, target_;
  RecurrentLayer encoder_;
  RecurrentWeights decoder_;
  nn::Linear bridge_h_, bridge_c_;
  Tensor query_, key_, score_;  // W_s, W_h (or W_a), v
  nn::Linear join_;             // of [context, state], where the context is joined afterwards
  nn::Linear output_;
};

}  // namespace regard::seq2seq
