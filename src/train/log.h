// The log of a run: one JSON object a line and step, and the figure that is drawn from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace regard::train {

// How well held-out data is foreseen.
struct Evaluation {
  double loss = 0;      // nats a token that counts
  double accuracy = 0;  // share of those tokens that are the likeliest
  double exact = 0;     // share of texts of which all of them are
};

struct Update {
  int64_t step = 0;    // done, from 1 on
  double loss = 0;     // nats a target token, before the update
  double average = 0;  // of losses, exponential
  double rate = 0;     // of learning
  double norm = 0;     // of the gradient, before it is clipped
  int64_t tokens = 0;  // of the step, without padding
  double seconds = 0;  // it took
  std::optional<Evaluation> evaluation = {};
};

class Log {
 public:
  // Goes on behind step `from` in a log that is there. Throws Error naming the file.
  Log(const std::filesystem::path& path, int64_t from);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void write(const Update& update);

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

// What a log holds. Throws Error(unreadable) naming file and line.
std::vector<Update> read_log(const std::filesystem::path& path);

// Losses by step as SVG: of training, its average, of held-out data.
std::string draw_losses(const std::vector<Update>& updates);

}  // namespace regard::train
