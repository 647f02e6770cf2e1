// regard doctor: what this machine can do and which models it has; or what a model file holds,
// without reading its weights.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/check.h"
#include "base/cpu.h"
#include "base/threads.h"
#include "formats/gguf.h"
#include "formats/printable.h"
#include "kernels/ceiling.h"
#include "kernels/target.h"
#include "regard/model.h"
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
    if (at->path().extension() == ".gguf") files.push_back(at->path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const uint64_t bytes = fs::file_size(file, error);
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
      "FMA peak   {:.1f} GFLOP/s, f32, {} threads\nread peak  {:.2f} GB/s from memory\n",
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

// Long arrays (a vocabulary) are told by type and length.
Json value_of(const GgufFile& file, const GgufValue& value) {
  switch (value.type) {
    case GgufType::string:
      return std::string(file.get_string(value.key));
    case GgufType::boolean:
      return file.get_bool(value.key);
    case GgufType::f32:
    case GgufType::f64:
      return file.get_f64(value.key);
    case GgufType::u64:
      return file.get_u64(value.key);
    case GgufType::array:
      return Json{{"array_of", to_string(value.element)}, {"count", value.count}};
    default:
      return file.get_int(value.key, std::numeric_limits<int64_t>::min(),
                          std::numeric_limits<int64_t>::max());
  }
}

std::vector<int64_t> dims_of(const GgufTensor& tensor) {
  return {tensor.dims.begin(), tensor.dims.begin() + tensor.rank};
}

int describe_file(const std::string& path, bool json) {
  const GgufFile file = GgufFile::open(path);
  if (json) {
    Json metadata = Json::object(), tensors = Json::array();
    for (const GgufValue& value : file.keys()) {
      metadata[std::string(value.key)] = value_of(file, value);
    }
    for (const GgufTensor& tensor : file.tensors()) {
      tensors.push_back({{"name", std::string(tensor.name)},
                         {"type", tensor.type_name},
                         {"dims", dims_of(tensor)},
                         {"bytes", tensor.data.size()}});
    }
    print_json({{"file", path},
                {"format", "gguf"},
                {"version", file.version()},
                {"bytes", file.bytes().size()},
                {"metadata", std::move(metadata)},
                {"tensors", std::move(tensors)}});
    return kOk;
  }
  print(fmt::format("{}: GGUF version {}, {}, {} keys, {} tensors\n", path, file.version(),
                    bytes_text(file.bytes().size()), file.keys().size(), file.tensors().size()));
  for (const GgufValue& value : file.keys()) {
    const std::string key = printable(value.key);
    if (value.type == GgufType::array) {
      print(fmt::format("  {:<44} {} x {}\n", key, value.count, to_string(value.element)));
    } else if (value.type == GgufType::string) {
      print(fmt::format("  {:<44} {}\n", key, printable(file.get_string(value.key))));
    } else {
      print(fmt::format("  {:<44} {}\n", key, value_of(file, value).dump()));
    }
  }
  for (const GgufTensor& tensor : file.tensors()) {
    print(fmt::format("  {:<44} {:<6} [{}]{}\n", printable(tensor.name), tensor.type_name,
                      fmt::join(dims_of(tensor), ", "),
                      tensor.dtype ? "" : "  (regard does not compute with this type)"));
  }
  return kOk;
}

}  // namespace

int doctor(const Arguments& arguments) {
  CommandLine line("doctor",
                   "Measures this machine and lists its models; with FILE, describes that GGUF.",
                   "regard doctor ~/.cache/regard/smollm2.gguf");
  std::string file;
  int threads = 0;
  bool json = false;
  line->add_option("file", file, "a GGUF file, or the name of a pulled model")->option_text("FILE");
  line->add_option("-t,--threads", threads, "threads to measure with; 0 = all cores")
      ->transform(whole_number(0, 1024))
      ->option_text("N [0]");
  line->add_flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;
  return file.empty()
             ? describe_machine(threads, json)
             : describe_file(file.find('.') == std::string::npos ? find_model(file) : file, json);
}

}  // namespace regard::app
