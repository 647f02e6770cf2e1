// regard generate: continues a text, or many as one batch.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "request.h"
#include "verbs.h"

namespace regard::app {

namespace {

double per_second(int64_t tokens, double ms) {
  return ms > 0 ? static_cast<double>(tokens) * 1000 / ms : 0;
}

std::string timing_line(const std::vector<Generation>& results) {
  int64_t generated = 0, prefilled = 0, decoded = 0;
  double prefill_ms = 0,
         decode_ms = 0;  // of a batch: the clock runs for all together
  for (const Generation& one : results) {
    generated += static_cast<int64_t>(one.ids.size());
    prefilled += one.timings.prefill_tokens;
    decoded += one.timings.decode_tokens;
    prefill_ms = std::max(prefill_ms, one.timings.prefill_ms);
    decode_ms = std::max(decode_ms, one.timings.decode_ms);
  }
  return fmt::format(
      "{} tokens; prefill {} at {:.0f} tokens/s, decode {} at "
      "{:.1f} tokens/s\n",
      generated, prefilled, per_second(prefilled, prefill_ms), decoded,
      per_second(decoded, decode_ms));
}

// The progress line: prompt tokens first, then tokens per second.
class Meter {
 public:
  void prompt(int64_t done, int64_t total) {
    progress_.show(fmt::format("prompt: {} of {} tokens", done, total));
  }
  // shared: the text goes to the same terminal, where a line of ours would run
  // into it.
  void piece(bool shared) {
    if (shared) {
      progress_.clear();
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (pieces_++ == 0) start_ = now;
    const double ms = std::chrono::duration<double, std::milli>(now - start_).count();
    progress_.show(fmt::format("{} pieces, {:.1f}/s", pieces_, per_second(pieces_ - 1, ms)));
  }
  void end(const std::vector<Generation>& results) {
    progress_.clear();
    if (progress_.shown()) fmt::print(stderr, "{}", timing_line(results));
  }

 private:
  Progress progress_;
  int64_t pieces_ = 0;
  std::chrono::steady_clock::time_point start_{};
};

}  // namespace

int generate(const Arguments& arguments) {
  CommandLine line("generate", "Continues a text; what is generated goes to standard output.",
                   "regard generate -p \"Once upon a time\" -n 50 --temp 0.8 -s 1");
  ModelFlags model_flags;
  PromptFlags prompt_flags;
  RunFlags run_flags;
  GenerateOptions options;
  bool json = false;
  add_model_flags(line, model_flags);
  add_prompt_flags(line, prompt_flags, Prompts::one_or_many);
  add_generation_flags(line, options);
  line.flag("--ignore-eos", options.ignore_eos, "go on after an end token");
  add_run_flags(line, run_flags);
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;

  const Request request = read_request(line, prompt_flags);
  LogitsFiles logits(run_flags.logits, request);
  const Model model = load(model_flags);
  const std::vector<std::vector<TokenId>> prompts = token_ids(model, request);

  Meter meter;
  const bool stream = !json && !request.batch;
  const bool shared = stream && on_terminal(stdout);
  options.run = run_options(run_flags);
  options.run.logits = logits.sink();
  options.run.progress = [&](int64_t done, int64_t total) { meter.prompt(done, total); };
  options.run.interrupt = &interrupts();
  const std::vector<Generation> results =
      model.generate(prompts, options, [&](int64_t, std::string_view piece) {
        meter.piece(shared);
        if (!stream) return;
        print(piece);
        flush();
      });
  logits.close();

  if (json && request.batch) {
    Json all = Json::array();
    for (const Generation& one : results) all.push_back(as_json(one));
    print_json({{"results", std::move(all)}});
  } else if (json) {
    print_json(as_json(results.at(0)));
  } else if (request.batch) {
    for (size_t i = 0; i < results.size(); ++i) print(fmt::format("[{}] {}\n", i, results[i].text));
  } else if (shared && !results.at(0).text.ends_with('\n')) {
    print("\n");
  }
  flush();
  meter.end(results);
  const bool interrupted = std::any_of(results.begin(), results.end(), [](const Generation& one) {
    return one.finish_reason == FinishReason::interrupted;
  });
  return interrupted ? kInterrupted : kOk;
}

}  // namespace regard::app
