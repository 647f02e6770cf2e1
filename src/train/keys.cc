#include "train/keys.h"

#include <array>

namespace regard::train {
namespace {

constexpr int64_t kMost = int64_t{1} << 40;
constexpr std::array<std::string_view, 4> kFalls = {"none", "cosine", "linear", "inverse_sqrt"};

}  // namespace

void visit_keys(TrainConfig& config, KeyVisitor& v) {
  ModelConfig& m = config.model;
  v.section("model", "what is trained: a new model of a known family, or one to go on from");
  v.text("start", m.start,
         "a folder, a GGUF or a pulled name to go on from; then sizes are its own");
  v.choice("family", m.family, {"llama", "gpt2", "qwen2", "qwen3", "bloom"}, "of a new model");
  v.whole("layers", m.layers, 1, 1024, "");
  v.whole("width", m.width, 1, 65536, "of the residual stream; a multiple of heads");
  v.whole("heads", m.heads, 1, 1024, "");
  v.whole("kv_heads", m.kv_heads, 0, 1024, "heads is a multiple of it; 0 = heads");
  v.whole("inner", m.inner, 0, 1048576, "of the MLP; 0 = 4 width, gated 8/3 width in whole 32s");
  v.whole("context", m.context, 0, 1048576, "most tokens of a sequence; 0 = data.length");
  v.flag("tied", m.tied, "the head is the embedding");
  v.number("dropout", m.dropout, 0, 0.99, "of embeddings and of what each part adds");
  v.number("attention_dropout", m.attention_dropout, 0, 0.99, "of attention's weights");
  v.number("deviation", m.deviation, 1e-6, 10, "of the initial numbers of matrices");

  DataConfig& d = config.data;
  v.section("data", "what it is trained on: text files, or a generated task");
  v.texts("text", d.text, "files: plain text, or .jsonl with {text} or {prompt, answer} a line");
  v.texts("validation_text", d.validation_text, "files held out; without: a share of text");
  v.number("validation", d.validation, 0, 0.9, "that share, from the end; 0 = none");
  v.text("separator", d.separator, "what sets documents apart in a file; empty: a file is one");
  v.text(
      "tokenizer", d.tokenizer,
      "bytes, or a tokenizer.json, a folder or a GGUF that has one; default: start's, else bytes");
  v.text("task", d.task,
         "copy, reverse, sort, dates, addition, recall, induction, dyck, listops, shapes");
  v.whole("shortest", d.shortest, 1, 65536, "of a task: source tokens");
  v.whole("longest", d.longest, 1, 65536, "of a task, likewise");
  v.whole("symbols", d.symbols, 2, 512, "of a task: different ones");
  v.whole("max_depth", d.max_depth, 1, 1000, "of dyck and listops");
  v.choice("loss", d.loss, {"all", "answer"},
           "which targets count: all, or those behind a prompt (of a task: behind the source)");
  v.flag("boundary", d.boundary, "is the end of a document foreseen, too?");
  v.texts("ignored", d.ignored, "tokens that never count as targets");
  v.whole("length", d.length, 2, 1048576, "most tokens of a text; longer ones are cut");
  v.flag("packed", d.packed,
         "texts one behind another, each blind to the others; else padded rows");

  RunConfig& r = config.run;
  v.section("run", "how long, how much at once, and what is kept");
  v.whole("steps", r.steps, 1, kMost,
          "updates of the weights in all, those before a resumption too", Resumed::free);
  v.whole("rows", r.rows, 1, 65536, "of data.length tokens in one pass");
  v.whole("accumulate", r.accumulate, 1, 65536,
          "passes in one step; the loss is divided by the target tokens of all of them");
  v.whole("seed", r.seed, 0, kMost, "of initial weights and of the data's order");
  v.choice("precision", r.precision, {"f32", "bf16"},
           "of matrices while they multiply; sums, gradients and the weights kept are f32");
  v.flag("recompute", r.recompute, "compute inner results of blocks again: less memory, more time");
  v.number("smoothing", r.smoothing, 0, 0.9, "of labels (Szegedy et al. 2016)");
  v.whole("eval_every", r.eval_every, 1, kMost, "steps", Resumed::free);
  v.whole("eval_batches", r.eval_batches, 0, 100000, "of held-out data; 0 = no evaluation",
          Resumed::free);
  v.whole("save_every", r.save_every, 0, kMost, "steps; 0 = with each evaluation", Resumed::free);
  v.whole("keep", r.keep, 1, 1000, "checkpoints besides the best", Resumed::free);
  v.whole("patience", r.patience, 0, kMost,
          "evaluations without a better loss before it stops; 0 = never", Resumed::free);

  OptimiserConfig& o = config.optimiser;
  v.section("optimiser", "AdamW (Loshchilov and Hutter 2019)");
  v.number("beta1", o.beta1, 0, 0.99999, "");
  v.number("beta2", o.beta2, 0, 0.9999999, "");
  v.number("epsilon", o.epsilon, 1e-16, 1, "");
  v.number("decay", o.decay, 0, 10, "of matrices, a step times the rate; not of gains and biases");
  v.flag("decay_embeddings", o.decay_embeddings, "does that hold for tables of embeddings, too?");
  v.number("clip", o.clip, 0, 1e9, "of the norm of all gradients together; 0 = none");

  Schedule& s = config.schedule;
  v.section("schedule", "the learning rate");
  v.number("rate", s.rate, 0, 1e6, "the largest");
  std::string fall(kFalls[static_cast<std::size_t>(s.fall)]);
  v.choice("fall", fall, {kFalls[0], kFalls[1], kFalls[2], kFalls[3]}, "behind the warm-up");
  for (std::size_t i = 0; i < kFalls.size(); ++i) {
    if (fall == kFalls[i]) s.fall = static_cast<Fall>(i);
  }
  v.whole("warmup", s.warmup, 0, kMost, "steps in which it rises to that");
  v.number("floor", s.floor, 0, 1, "what is left at the end, a share of rate; cosine and linear");
  v.whole("steps", s.steps, 0, kMost, "until the end; 0 = run.steps. A resumed run keeps it");
}

}  // namespace regard::train
