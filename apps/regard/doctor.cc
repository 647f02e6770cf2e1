// regard doctor: what this machine can do and which models it has; or what a
// model file holds, without reading its weights.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/check.h"
#include "base/cpu.h"
#include "base/threads.h"
#include "command_line.h"
#include "formats/describe.h"
#include "formats/file_kind.h"
#include "formats/gguf_tensors.h"
#include "formats/hf_config.h"
#include "formats/mapped_file.h"
#include "formats/safetensors.h"
#include "json.h"
#include "kernels/ceiling.h"
#include "regard/model.h"
#include "simd/target.h"
#include "verbs.h"

namespace regard::app {

namespace {

namespace fs = std::filesystem;

// Distinct memory for the read loop: far beyond any cache.
constexpr int64_t kReadBytes = int64_t{1} << 29;

Json pulled_models() {
  Json models = Json::array();
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(cache_folder(), error), end; !error && at != end;
       at.increment(error)) {
    const bool folder = fs::exists(at->path() / "config.json");
    if (folder || at->path().extension() == ".gguf") files.push_back(at->path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const fs::path weights = fs::is_directory(file) ? file / "model.safetensors" : file;
    const uint64_t bytes = fs::file_size(weights, error);
    if (error) continue;
    models.push_back({{"name", file.stem().string()}, {"path", file.string()}, {"bytes", bytes}});
  }
  return models;
}

int describe_machine(int threads, bool json) {
  std::vector<std::string> targets;
  for (const Target target : available_targets()) targets.emplace_back(name(target));
  const std::string_view active = name(active_target());
  ThreadPool pool(threads);
  const CpuFacts cpu = cpu_facts();
  const double fma = measure_fma_peak(pool);
  const double read = measure_read_bandwidth(pool, kReadBytes);
  const Json models = pulled_models();
  if (json) {
    print_json({{"cpu", cpu.name},
                {"targets", targets},
                {"fma_peak_gflops", fma},
                {"read_peak_gbs", read},
                {"threads", pool.threads()},
                {"models", models}});
    return kOk;
  }
  print(fmt::format(
      "cpu        {}, {} cores\ntargets    {} (in use: {})\n"
      "FMA peak   {:.1f} GFLOP/s, f32, {} threads\nread peak  "
      "{:.2f} GB/s from memory\n",
      cpu.name, cpu.cores, fmt::join(targets, ", "), active, fma, pool.threads(), read));
  if (models.empty()) {
    print(fmt::format("models     none in {}; regard pull smollm2 fetches one\n", cache_folder()));
  }
  for (const Json& model : models) {
    print(fmt::format("model      {} ({}): {}\n", model["name"].get<std::string>(),
                      bytes_text(model["bytes"].get<uint64_t>()),
                      model["path"].get<std::string>()));
  }
  return kOk;
}

// One number a layer: told once where all are alike.
std::string per_layer(const std::vector<int64_t>& numbers) {
  if (numbers.empty()) return "?";
  const bool alike = std::all_of(numbers.begin(), numbers.end(),
                                 [&](int64_t number) { return number == numbers.front(); });
  return alike ? fmt::to_string(numbers.front()) : fmt::format("{}", fmt::join(numbers, ", "));
}

std::string or_unknown(const std::optional<int64_t>& number) {
  return number ? fmt::to_string(*number) : "?";
}

Json or_null(const std::optional<int64_t>& number) { return number ? Json(*number) : Json(); }

Json as_json(const std::string& path, const FileSummary& file,
             std::span<const TensorInfo> tensors_of) {
  Json types = Json::array(), tensors = Json::array();
  for (const TypeCount& one : file.types) {
    types.push_back({{"type", one.type},
                     {"computable", one.computable},
                     {"tensors", one.tensors},
                     {"parameters", one.parameters},
                     {"bytes", one.bytes}});
  }
  for (const TensorInfo& one : tensors_of) {
    const auto axes = std::min<int>(one.rank, 4);  // of the others the first four
    tensors.push_back({{"name", one.name},
                       {"type", one.type_name},
                       {"rank", one.rank},
                       {"shape", std::vector<int64_t>(one.shape.begin(), one.shape.begin() + axes)},
                       {"bytes", one.data.size()}});
  }
  return {{"file", path},
          {"format", file.format},
          {"architecture", file.architecture},
          {"name", file.name},
          {"size_label", file.size_label},
          {"license", file.license},
          {"tokenizer", file.tokenizer},
          {"bytes", file.file_bytes},
          {"tensor_bytes", file.tensor_bytes},
          {"parameters", file.parameters},
          {"layers", or_null(file.layers)},
          {"width", or_null(file.width)},
          {"context", or_null(file.context_length)},
          {"vocabulary", or_null(file.tokens)},
          {"heads", file.heads},
          {"kv_heads", file.kv_heads},
          {"feed_forward", file.feed_forward},
          {"types", std::move(types)},
          {"tensors", std::move(tensors)}};
}

int show_summary(const std::string& path, const FileSummary& file,
                 std::span<const TensorInfo> tensors, bool json) {
  if (json) {
    print_json(as_json(path, file, tensors));
    return kOk;
  }
  const auto line = [](std::string_view what, const std::string& text) {
    if (!text.empty()) print(fmt::format("{:<14}{}\n", what, text));
  };
  line("file", path);
  line("format",
       fmt::format("{}, {}, {} keys, {} tensors", file.format,
                   bytes_text(static_cast<uint64_t>(file.file_bytes)), file.keys, file.tensors));
  line("architecture", file.architecture);
  line("name", file.name);
  line("size", file.size_label);
  line("license", file.license);
  line("tokenizer", file.tokenizer);
  line("parameters", fmt::to_string(file.parameters));
  line("layers", or_unknown(file.layers));
  line("width",
       fmt::format("{}, feed-forward {}", or_unknown(file.width), per_layer(file.feed_forward)));
  line("heads",
       fmt::format("{}, of keys and values {}", per_layer(file.heads), per_layer(file.kv_heads)));
  line("context", or_unknown(file.context_length));
  line("vocabulary", or_unknown(file.tokens));
  if (file.files > 1) line("split", fmt::format("in {} files", file.files));
  for (const TypeCount& one : file.types) {
    line("type", fmt::format("{}: {} tensors, {}{}", one.type, one.tensors,
                             bytes_text(static_cast<uint64_t>(one.bytes)),
                             one.computable ? "" : "; regard does not compute with it"));
  }
  return kOk;
}

int describe_file(const std::string& path, bool json) {
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  if (folder || file_kind(MappedFile(path).bytes()) == FileKind::safetensors) {
    const Safetensors model = Safetensors::open(path);
    std::optional<HfConfig> config;
    if (folder && fs::exists(fs::path(path) / "config.json", error)) config = HfConfig::open(path);
    return show_summary(path, summarise(model, config ? &*config : nullptr), model.tensors(), json);
  }
  const GgufTensors model = GgufTensors::open(path);
  return show_summary(path, summarise(model), model.tensors(), json);
}

}  // namespace

int doctor(const Arguments& arguments) {
  CommandLine line("doctor",
                   "Measures this machine and lists its models; with FILE, "
                   "describes that model.",
                   "regard doctor ~/.cache/regard/smollm2.gguf");
  std::string file;
  int threads = 0;
  bool json = false;
  line.text("file", file,
            "a GGUF or safetensors file, a model's folder, or the name of a pulled model", "FILE");
  line.whole("-t,--threads", threads, 0, 1024, "threads to measure with; 0 = all cores", "N [0]");
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;
  return file.empty() ? describe_machine(threads, json)
                      : describe_file(fs::exists(file) || file.find('.') != std::string::npos
                                          ? file
                                          : find_model(file),
                                      json);
}

}  // namespace regard::app
