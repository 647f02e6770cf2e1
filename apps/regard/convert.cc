// regard convert: a folder of transformers to one GGUF file, and back.
#include "convert/convert.h"

#include <fmt/format.h>

#include "base/check.h"
#include "command_line.h"
#include "json.h"
#include "regard/model.h"
#include "terminal.h"
#include "verbs.h"

namespace regard::app {

namespace {

constexpr DType kTypes[] = {DType::f32,  DType::f16,  DType::bf16,
                            DType::q8_0, DType::q4_0, DType::q4_1};

std::optional<DType> type_of(const std::string& name) {
  for (const DType dtype : kTypes) {
    if (info(dtype).name == name) return dtype;
  }
  return std::nullopt;
}

}  // namespace

int convert(const Arguments& arguments) {
  CommandLine line("convert",
                   "Writes a folder of transformers (config.json and safetensors) as one GGUF, and "
                   "a GGUF as such a folder.",
                   "regard convert my-model/ my-model.gguf --dtype q8_0");
  std::string in, out, dtype;
  bool json = false;
  line.text("in", in, "a model's folder, or the safetensors file in it; or a GGUF", "IN");
  line.text("out", out, "the GGUF to write; of a GGUF: the folder, which must be new", "OUT");
  line.choice("--dtype", dtype, {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"},
              "how matrices are stored; norms and biases are f32; a folder takes f32, f16 and bf16",
              "T [as in IN]");
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;
  require(!in.empty() && !out.empty(), "give the model's folder and the file to write");
  const std::filesystem::path from = find_model(in);
  const bool to_folder = from.extension() == ".gguf";
  require(to_folder || out.ends_with(".gguf"),
          "the file to write is {}; its name must end in .gguf", out);
  require(!to_folder || !out.ends_with(".gguf"),
          "{} is a GGUF, which becomes a folder; {} is the name of a file", in, out);

  Progress progress;
  const std::atomic<bool>& interrupt = interrupts();
  Converted done;
  try {
    done = regard::convert(from, out,
                           {.dtype = type_of(dtype),
                            .interrupt = &interrupt,
                            .progress = [&](uint64_t written, uint64_t all) {
                              progress.show(fmt::format("writing {}: {} of {}", out,
                                                        bytes_text(written), bytes_text(all)));
                            }});
  } catch (const Error&) {
    if (!interrupt) throw;
    progress.clear();
    fmt::print(stderr, "regard: convert was interrupted; nothing was changed\n");
    return kInterrupted;
  }
  progress.clear();
  if (!done.tokenizer) {
    fmt::print(stderr,
               "regard: {} has no tokenizer: the GGUF holds none that tokenizer.json is made of\n",
               out);
  }
  if (json) {
    nlohmann::json told{{to_folder ? "folder" : "file", out},
                        {"architecture", done.architecture},
                        {"tensors", done.tensors},
                        {"bytes", done.bytes}};
    if (to_folder) {
      told["tokenizer"] = done.tokenizer;
    } else {
      told["kept_f16"] = done.kept_f16;
    }
    print_json(told);
    return kOk;
  }
  print(fmt::format("{} is ready: {}, {} tensors, {}\n", out, done.architecture, done.tensors,
                    bytes_text(done.bytes)));
  if (!done.kept_f16.empty()) {
    print(fmt::format("{} tensors have rows that are not a multiple of 32 and are f16: {}{}\n",
                      done.kept_f16.size(), done.kept_f16.front(),
                      done.kept_f16.size() > 1 ? ", ..." : ""));
  }
  return kOk;
}

}  // namespace regard::app
