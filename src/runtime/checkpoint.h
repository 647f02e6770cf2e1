// Checkpoint: a model's files as they stand in memory: weights, tokenizer, and the threads they run
// on.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/threads.h"
#include "models/decoder.h"
#include "regard/model.h"
#include "regard/tokenizer.h"
#include "text_files/chat_templates.h"

namespace regard {

struct Checkpoint {
  // Throws Error(unreadable) that names the file, the key or tensor, the rule and the numbers.
  Checkpoint(const std::string& path, const LoadOptions& options);

  // Throws Error(unreadable) when the file has no tokenizer that regard knows; ids still work.
  const Tokenizer& text() const;

  // Does a text end with this token, by the tokenizer or by the settings?
  bool ends(TokenId id) const noexcept;

  std::mutex turn;  // held by whoever runs the model
  ThreadPool pool;
  models::Decoder model;
  std::optional<Tokenizer> tokenizer;
  std::string why_no_text;  // the message, when there is no tokenizer
  ChatTemplates chat;
  ModelFacts facts;
  std::vector<TokenId> end_ids;  // that end a text besides the tokenizer's own
  double load_ms = 0;

 private:
  void load_folder(const std::string& path);
  void load_gguf(const std::string& path);
  template <class Read>
  void read_text(const std::string& path, const Read& read);
};

}  // namespace regard
