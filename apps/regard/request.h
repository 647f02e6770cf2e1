// What a verb that runs a model is asked: which model, which tokens, and how
// they go through it.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "command_line.h"
#include "json.h"
#include "regard/model.h"
#include "terminal.h"

namespace regard::app {

struct ModelFlags {
  std::string model = "smollm2";
  int threads = 0;
};
void add_model_flags(CommandLine& line, ModelFlags& flags, const char* usual = "smollm2");
Model load(const ModelFlags& flags);

// Where the tokens come from: exactly one of these. The command line beats the
// environment.
struct PromptFlags {
  std::string prompt;  // text; "-" is standard input
  std::string file;    // a file of text
  CommandLine::Numbers ids;
  std::string prompts;  // a file, a prompt a line
};
enum class Prompts { one, one_or_many };
void add_prompt_flags(CommandLine& line, PromptFlags& flags, Prompts many);

// What was asked for, read but not yet tokenised, so that a bad flag or file is
// told at once.
struct Request {
  std::vector<std::string> texts;  // empty when ids were given
  std::vector<TokenId> ids;
  bool batch = false;  // of --prompts
};
Request read_request(const CommandLine& line, const PromptFlags& flags);
// One list of ids a prompt.
std::vector<std::vector<TokenId>> token_ids(const Model& model, const Request& request);

// How the next token is drawn, and where a text ends.
void add_generation_flags(CommandLine& line, GenerateOptions& options);

struct RunFlags {
  std::string kv = "f16";
  int64_t chunk = 512;
  std::string page = "64";
  std::string logits;  // a file
};
void add_kv_flag(CommandLine& line, std::string& kv);
void add_run_flags(CommandLine& line, RunFlags& flags);
DType kv_dtype(const std::string& name);
RunOptions run_options(const RunFlags& flags);

Json as_json(const Generation& result);

// --logits FILE: raw little-endian f32 [positions, vocabulary]; of a batch
// FILE.0, FILE.1, ...
class LogitsFiles {
 public:
  LogitsFiles(const std::string& path, const Request& request);
  // Nothing when no file was asked for.
  LogitsSink sink();
  // Throws Error(failed) when the last bytes found no room.
  void close();

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  struct File {
    std::string path;
    std::unique_ptr<std::FILE, Close> stream;
  };
  std::vector<File> files_;
};

}  // namespace regard::app
