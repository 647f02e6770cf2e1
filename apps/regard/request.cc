// What a verb that runs a model is asked. See request.h.
#include "request.h"

#include <fmt/format.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "simd/target.h"

namespace regard::app {

static_assert(std::endian::native == std::endian::little, "--logits writes memory as it is");

void add_model_flags(CommandLine& line, ModelFlags& flags, const char* usual) {
  line.text("-m,--model", flags.model, "a GGUF file, or the name of a pulled model",
            fmt::format("PATH|NAME [{}]", usual).c_str());
  line.whole("-t,--threads", flags.threads, 0, 1024,
             "threads; 0 = all cores. Never changes a result", "N [0]");
}

Model load(const ModelFlags& flags) {
  active_target();  // a wrong REGARD_TARGET is told here, before any thread asks for it
  return Model::load(flags.model, {.threads = flags.threads});
}

void add_prompt_flags(CommandLine& line, PromptFlags& flags, Prompts many) {
  line.text("-p,--prompt", flags.prompt, "the text; - reads standard input, to its last byte",
            "TEXT");
  line.text("-f,--file", flags.file, "a file of text, taken as it is", "FILE");
  line.numbers("--ids", flags.ids, 0, std::numeric_limits<TokenId>::max(),
               "token ids in place of text", "1,2,3");
  if (many == Prompts::one_or_many) {
    line.text("--prompts", flags.prompts,
              "a file, a prompt a line, run as one batch; --json then prints "
              "{\"results\": "
              "[...]}",
              "FILE");
  }
}

Request read_request(const CommandLine& line, const PromptFlags& flags) {
  std::vector<std::string> given, written;
  for (const char* name : {"--prompt", "--file", "--ids", "--prompts"}) {
    if (!line.has(name)) continue;
    given.emplace_back(name);
    if (line.written(name)) written.emplace_back(name);
  }
  if (!written.empty()) given = written;
  require(!given.empty(),
          "no prompt: give -p TEXT, -p - for standard input, "
          "-f FILE or --ids 1,2,3");
  require(given.size() == 1, "{} and {} both name a prompt; give one of them", given[0],
          given.size() > 1 ? given[1] : "");

  Request request;
  if (given[0] == "--prompt") {
    request.texts.push_back(flags.prompt == "-" ? read_text("-") : flags.prompt);
  } else if (given[0] == "--file") {
    request.texts.push_back(read_text(flags.file));
  } else if (given[0] == "--ids") {
    for (const int64_t id : flags.ids) {
      request.ids.push_back(static_cast<TokenId>(id));
    }
  } else {
    request.batch = true;
    const std::string text = read_text(flags.prompts);
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      std::string prompt = text.substr(at, end - at);
      if (prompt.ends_with('\r')) prompt.pop_back();
      require(!prompt.empty(), "{} line {}: an empty prompt", flags.prompts,
              request.texts.size() + 1);
      request.texts.push_back(std::move(prompt));
      at = end + 1;
    }
    require(!request.texts.empty(), "{} holds no prompt", flags.prompts);
  }
  return request;
}

std::vector<std::vector<TokenId>> token_ids(const Model& model, const Request& request) {
  if (request.texts.empty()) return {request.ids};
  std::vector<std::vector<TokenId>> ids;
  for (const std::string& text : request.texts) {
    try {
      ids.push_back(model.encode(text));
    } catch (const Error& error) {
      if (!request.batch) throw;
      fail(error.kind(), "prompt {} of the file: {}", ids.size() + 1, error.what());
    }
  }
  return ids;
}

void add_generation_flags(CommandLine& line, GenerateOptions& options) {
  line.whole("-n,--tokens", options.tokens, 0, int64_t{1} << 31, "most tokens to generate",
             "N [256]");
  line.real("--temp", options.sampling.temperature, 0, std::numeric_limits<float>::max(),
            "temperature; 0 = the likeliest token", "X [0]");
  line.whole("--top-k", options.sampling.top_k, 0, std::numeric_limits<int>::max(),
             "draw from the k likeliest; 0 = from all", "K [0]");
  line.real("--top-p", options.sampling.top_p, 0, 1,
            "draw from the likeliest that hold p of the sum", "P [1]");
  line.real("--min-p", options.sampling.min_p, 0, 1,
            "draw from those at least p times the likeliest", "P [0]");
  line.whole("-s,--seed", options.sampling.seed, 0, std::numeric_limits<int64_t>::max(),
             "of the draws", "N [0]");
  line.texts("--stop", options.stop, "end before this text; may be given again", "TEXT");
}

void add_kv_flag(CommandLine& line, std::string& kv) {
  line.choice("--kv", kv, {"f32", "f16", "bf16", "i8"}, "what keys and values are kept as",
              "f32|f16|bf16|i8 [f16]");
}

void add_run_flags(CommandLine& line, RunFlags& flags) {
  add_kv_flag(line, flags.kv);
  line.whole("--chunk", flags.chunk, 0, int64_t{1} << 31,
             "most prompt tokens in one step; 0 = all. Never changes a result", "N [512]");
  line.choice("--page", flags.page, {"16", "32", "64"},
              "keys in a cache page. Never changes a result", "16|32|64 [64]");
  line.text("--logits", flags.logits,
            "write the logits of all positions, raw little-endian f32; with "
            "--prompts to "
            "FILE.0, FILE.1, ...",
            "FILE");
}

DType kv_dtype(const std::string& name) {
  if (name == "f32") return DType::f32;
  if (name == "i8") return DType::i8;
  return name == "bf16" ? DType::bf16 : DType::f16;
}

RunOptions run_options(const RunFlags& flags) {
  RunOptions options;
  options.chunk = flags.chunk;
  options.page = std::stoll(flags.page);
  options.kv = kv_dtype(flags.kv);
  return options;
}

Json as_json(const Generation& result) {
  const Timings& time = result.timings;
  return {{"prompt_ids", result.prompt_ids},
          {"ids", result.ids},
          {"text", result.text},
          {"finish_reason", name(result.finish_reason)},
          {"timings",
           {{"load_ms", time.load_ms},
            {"prefill_tokens", time.prefill_tokens},
            {"prefill_ms", time.prefill_ms},
            {"decode_tokens", time.decode_tokens},
            {"decode_ms", time.decode_ms}}}};
}

LogitsFiles::LogitsFiles(const std::string& path, const Request& request) {
  if (path.empty()) return;
  constexpr size_t kMostFiles = 512;
  const size_t count = request.batch ? request.texts.size() : 1;
  require(count <= kMostFiles, "--logits: {} prompts would open as many files; at most {}", count,
          kMostFiles);
  for (size_t i = 0; i < count; ++i) {
    File file;
    file.path = request.batch ? fmt::format("{}.{}", path, i) : path;
    file.stream.reset(std::fopen(file.path.c_str(), "wb"));
    if (file.stream == nullptr) {
      fail(ErrorKind::failed, "cannot write {}: {}", file.path, std::strerror(errno));
    }
    files_.push_back(std::move(file));
  }
}

LogitsSink LogitsFiles::sink() {
  if (files_.empty()) return {};
  return [this](int64_t sequence, int64_t, std::span<const float> logits) {
    const File& file = files_.at(static_cast<size_t>(sequence));
    if (std::fwrite(logits.data(), sizeof(float), logits.size(), file.stream.get()) !=
        logits.size()) {
      fail(ErrorKind::failed, "cannot write {}: {}", file.path, std::strerror(errno));
    }
  };
}

void LogitsFiles::close() {
  for (File& file : files_) {
    if (std::fclose(file.stream.release()) != 0) {
      fail(ErrorKind::failed, "cannot write {}: {}", file.path, std::strerror(errno));
    }
  }
  files_.clear();
}

}  // namespace regard::app
