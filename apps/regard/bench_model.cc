// regard bench model: tokens per second of prefill, and of decode behind some
// context.
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/threads.h"
#include "json.h"
#include "request.h"
#include "verbs.h"

namespace regard::app {

namespace {

// The tokens that every peer is timed on: spread over the vocabulary, the same
// each time.
std::vector<TokenId> test_tokens(int64_t count, int64_t vocabulary) {
  std::vector<TokenId> ids;
  for (int64_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<TokenId>(((i * 7919) % 40000 + 100) % vocabulary));
  }
  return ids;
}

}  // namespace

int bench_model(const Arguments& arguments) {
  CommandLine line("bench model", "Times a model: prefill of a prompt, then decode at each depth.",
                   "regard bench model --prefill 512 --decode 64 --depth 0,2048 --json");
  ModelFlags model_flags;
  std::string kv = "f16";
  CommandLine::Numbers depths = {0, 2048};
  int64_t prefill = 512, decode = 64, repeats = 3;
  bool json = false;
  add_model_flags(line, model_flags);
  line.whole("--prefill", prefill, 0, int64_t{1} << 31, "prompt tokens to time; 0 = leave out",
             "N [512]");
  line.whole("--decode", decode, 0, int64_t{1} << 31, "single-token steps to time; 0 = leave out",
             "N [64]");
  line.numbers("--depth", depths, 0, int64_t{1} << 31, "tokens of context before the decode steps",
               "N,N [0,2048]");
  line.whole("--repeats", repeats, 1, 1000, "the best of so many counts", "N [3]");
  add_kv_flag(line, kv);
  line.flag("--json", json, "print one JSON list");
  if (!line.read(arguments)) return kOk;

  const Model model = load(model_flags);
  const int threads = ThreadPool(model_flags.threads).threads();
  const int64_t vocabulary = model.facts().vocabulary;
  const int64_t context = model.facts().context;
  if (decode == 0) depths.clear();
  require(prefill <= context, "--prefill: {} is more than the model's context of {}", prefill,
          context);
  for (const int64_t depth : depths) {
    require(std::max<int64_t>(depth, 1) + decode < context,
            "--depth: {} and {} decoded tokens do not fit into the model's "
            "context of {}",
            depth, decode, context);
  }
  Progress progress;
  GenerateOptions options;
  options.ignore_eos = true;
  options.run.kv = kv_dtype(kv);

  Json rows = Json::array();
  const auto report = [&](std::string_view test, int64_t tokens, int64_t depth, double best_ms) {
    const double rate = static_cast<double>(tokens) * 1000 / best_ms;
    rows.push_back({{"test", test},
                    {"tokens", tokens},
                    {"depth", depth},
                    {"threads", threads},
                    {"tokens_per_second", rate}});
    progress.clear();
    if (json) return;
    print(fmt::format("{:<8} {:>6} tokens at depth {:>6}, {} threads: {:>9.1f} tokens/s\n", test,
                      tokens, depth, threads, rate));
    flush();
  };

  if (prefill > 0) {
    options.tokens = 1;
    double best = 0;
    for (int64_t i = 0; i < repeats; ++i) {
      progress.show(fmt::format("prefill {}, run {} of {}", prefill, i + 1, repeats));
      const double ms =
          model.generate(test_tokens(prefill, vocabulary), options).timings.prefill_ms;
      best = i == 0 ? ms : std::min(best, ms);
    }
    report("prefill", prefill, 0, best);
  }
  for (const int64_t depth : depths) {
    options.tokens = decode + 1;  // the first one comes from the prefill
    double best = 0;
    for (int64_t i = 0; i < repeats; ++i) {
      progress.show(
          fmt::format("decode {} at depth {}, run {} of {}", decode, depth, i + 1, repeats));
      const Timings time =
          model.generate(test_tokens(std::max<int64_t>(depth, 1), vocabulary), options).timings;
      best = i == 0 ? time.decode_ms : std::min(best, time.decode_ms);
    }
    report("decode", decode, depth, best);
  }
  if (json) print_json(rows);
  return kOk;
}

}  // namespace regard::app
