// regard score: how well a model foresees a text, and the hash of every logit
// on the way.
#include <fmt/format.h>

#include "base/check.h"
#include "json.h"
#include "request.h"
#include "verbs.h"

namespace regard::app {

namespace {

Json as_json(const Score& score, bool with_top) {
  Json value = {{"token_count", score.token_count},
                {"mean_nll", score.mean_nll},
                {"perplexity", score.perplexity},
                {"bits", score.bits}};
  if (with_top) {
    value["top"] = Json::array();
    for (const auto& [id, logit] : score.top) value["top"].push_back(Json::array({id, logit}));
  }
  return value;
}

void print_score(const Model& model, const Score& score) {
  print(
      fmt::format("tokens      {}\nmean NLL    {:.6f} nats\nperplexity  "
                  "{:.4f}\nbits        {}\n",
                  score.token_count, score.mean_nll, score.perplexity, score.bits));
  for (const auto& [id, logit] : score.top) {
    print(fmt::format("{:>8}  {:>10.5f}  {}\n", id, logit, json_text(model.token_text(id))));
  }
}

}  // namespace

int score(const Arguments& arguments) {
  CommandLine line("score", "Tells how well a model foresees a text: nats a token, perplexity.",
                   "regard score -f chapter.txt --top 10 --json");
  ModelFlags model_flags;
  PromptFlags prompt_flags;
  RunFlags run_flags;
  ScoreOptions options;
  bool json = false;
  add_model_flags(line, model_flags);
  add_prompt_flags(line, prompt_flags, Prompts::one_or_many);
  line.whole("--top", options.top, 0, int64_t{1} << 31,
             "also the K largest logits after the last token", "K [0]");
  add_run_flags(line, run_flags);
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;

  const Request request = read_request(line, prompt_flags);
  LogitsFiles logits(run_flags.logits, request);
  const Model model = load(model_flags);
  const std::vector<std::vector<TokenId>> prompts = token_ids(model, request);

  Progress progress;
  options.run = run_options(run_flags);
  options.run.logits = logits.sink();
  options.run.progress = [&](int64_t done, int64_t total) {
    progress.show(fmt::format("scored {} of {} tokens", done, total));
  };
  const std::vector<Score> results = model.score(prompts, options);
  logits.close();
  progress.clear();

  if (json && request.batch) {
    Json all = Json::array();
    for (const Score& one : results) all.push_back(as_json(one, options.top > 0));
    print_json({{"results", std::move(all)}});
  } else if (json) {
    print_json(as_json(results.at(0), options.top > 0));
  } else {
    for (size_t i = 0; i < results.size(); ++i) {
      if (request.batch) print(fmt::format("{}[{}]\n", i == 0 ? "" : "\n", i));
      print_score(model, results[i]);
    }
  }
  return kOk;
}

}  // namespace regard::app
