#include "train/checkpoint.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/mapped_file.h"
#include "formats/safetensors.h"
#include "json/json.h"
#include "writers/atomic_file.h"
#include "writers/atomic_folder.h"
#include "writers/safetensors_writer.h"

namespace regard::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kFormat = 1;
constexpr const char* kState = "state.safetensors";
constexpr const char* kTraining = "training.json";

std::string shown(const fs::path& path) { return printable(path.native(), 1024); }

[[noreturn]] void refuse(const fs::path& path, int error) {
  fail(ErrorKind::failed, "{}: cannot be written: {}", shown(path),
       std::generic_category().message(error));
}

// All tensors of an optimiser by their names in the file.
template <class Use>
void each_tensor(Optimiser& optimiser, const Use& use) {
  for (Optimiser::State& state : optimiser.states()) {
    use(state.name, state.master);
    use(state.name + ".first", state.first);
    use(state.name + ".second", state.second);
  }
}

void write_state(const fs::path& path, Optimiser& optimiser) {
  std::vector<TensorToWrite> tensors;
  each_tensor(optimiser, [&](const std::string& name, Tensor& tensor) {
    TensorToWrite made{.name = name,
                       .dtype = DType::f32,
                       .rank = tensor.rank(),
                       .shape = {1, 1, 1, 1},
                       .produce = {}};
    std::ranges::copy(tensor.shape(), made.shape.begin());
    made.produce = [bytes = std::as_bytes(tensor.numbers<float>())](const auto& take) {
      take(bytes);
    };
    tensors.push_back(std::move(made));
  });
  write_safetensors(path, tensors);
}

void read_state(const fs::path& path, Optimiser& optimiser) {
  const Safetensors file = Safetensors::open(path);
  each_tensor(optimiser, [&](const std::string& name, Tensor& tensor) {
    const TensorInfo& found = file.get(name);
    const auto to = std::as_writable_bytes(tensor.writable_numbers<float>());
    if (found.dtype != DType::f32 || found.data.size() != to.size()) {
      fail(ErrorKind::unreadable, "{}: tensor {} is {} {}, the model's is {}", shown(path),
           printable(name), found.type_name, shape_text(found), tensor);
    }
    std::memcpy(to.data(), found.data.data(), to.size());
  });
  optimiser.round();
}

json file_hashes(const fs::path& folder) {
  json made = json::object();
  for (const fs::directory_entry& one : fs::directory_iterator(folder)) {
    if (!one.is_regular_file() || one.file_size() == 0) continue;
    made[one.path().filename().string()] = {{"bytes", one.file_size()},
                                            {"xxh64", hash_of(MappedFile(one.path()).text())}};
  }
  return made;
}

void check_files(const fs::path& folder, const json& wanted) {
  for (const auto& [name, facts] : wanted.items()) {
    const fs::path path = folder / fs::path(name).filename();
    const MappedFile file(path);
    const auto bytes = facts.at("bytes").get<uint64_t>();
    if (file.text().size() != bytes) {
      fail(ErrorKind::unreadable, "{}: has {} bytes, {} were written; the checkpoint is damaged",
           shown(path), file.text().size(), bytes);
    }
    if (hash_of(file.text()) != facts.at("xxh64").get<std::string>()) {
      fail(ErrorKind::unreadable,
           "{}: its bytes are not those that were written; the checkpoint is damaged", shown(path));
    }
  }
}

bool is_checkpoint(const fs::path& path) {
  return path.filename().string().starts_with("step-") && fs::is_directory(path);
}

}  // namespace

std::string hash_of(std::string_view bytes) {
  return fmt::format("{:016x}", XXH64(bytes.data(), bytes.size(), 0));
}

Checkpoints::Checkpoints(fs::path folder, TrainConfig config, InputHashes inputs)
    : folder_(std::move(folder)), config_(std::move(config)), inputs_(std::move(inputs)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) refuse(folder_, error.value());
  const fs::path lock = folder_ / ".lock";
  lock_ = open(lock.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  if (lock_ < 0) refuse(folder_, errno);
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    close(std::exchange(lock_, -1));
    fail(ErrorKind::failed, "{}: another run writes into this folder", shown(folder_));
  }
  for (const fs::directory_entry& one : fs::directory_iterator(folder_, error)) {
    if (one.path().filename().string().starts_with(".regard-")) fs::remove_all(one.path(), error);
  }
}

Checkpoints::~Checkpoints() {
  if (lock_ >= 0) close(lock_);
}

bool Checkpoints::has(const char* link) const {
  std::error_code error;
  return fs::is_directory(folder_ / link, error);
}

std::string Checkpoints::target(const char* link) const {
  std::error_code error;
  return fs::read_symlink(folder_ / link, error).string();
}

void Checkpoints::link(const char* name, const std::string& to) const {
  const fs::path made = folder_ / (std::string(".regard-link-") + name), path = folder_ / name;
  unlink(made.c_str());
  if (symlink(to.c_str(), made.c_str()) != 0 || rename(made.c_str(), path.c_str()) != 0) {
    refuse(path, errno);
  }
  const int opened = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  fsync(opened);
  close(opened);
}

fs::path Checkpoints::save(const Progress& progress, const Learner& learner, Optimiser& optimiser,
                           bool best) {
  const std::string name = fmt::format("step-{:08}", progress.step);
  const fs::path path = folder_ / name;
  if (target("last") == name) {  // nothing was trained since
    if (best) link("best", name);
    return path;
  }
  std::error_code error;
  fs::remove_all(path, error);  // of a run that was killed before it was linked
  json facts = {{"format", kFormat},
                {"step", progress.step},
                {"epoch", progress.cursor.epoch},
                {"next", progress.cursor.next},
                {"first", progress.first},
                {"average", progress.average},
                {"best", progress.best ? json(*progress.best) : json()},
                {"best_step", progress.best_step},
                {"waited", progress.waited},
                {"config", config_.to_toml()},
                {"inputs", inputs_}};
  AtomicFolder whole(path);
  whole.fill([&](const fs::path& made) {
    learner.save(made);
    write_state(made / kState, optimiser);
    facts["files"] = file_hashes(made);
    facts["xxh64"] = hash_of(facts.dump());  // of all of them but this
    write_atomically(made / kTraining, facts.dump(1) + "\n");
  });
  whole.commit();
  link("last", name);
  if (best) link("best", name);
  remove_old();
  return path;
}

void Checkpoints::remove_old() const {
  std::vector<fs::path> all;
  std::error_code error;
  for (const fs::directory_entry& one : fs::directory_iterator(folder_, error)) {
    if (is_checkpoint(one.path()) && one.path().filename() != target("best")) {
      all.push_back(one.path());
    }
  }
  std::ranges::sort(all);
  const auto keep = static_cast<std::size_t>(config_.run.keep);
  for (std::size_t i = 0; i + keep < all.size(); ++i) {
    if (all[i].filename() != target("last")) fs::remove_all(all[i], error);
  }
}

Progress Checkpoints::load(Optimiser& optimiser) const {
  if (!has("last")) {
    fail(ErrorKind::unreadable, "{}: there is no checkpoint to resume from", shown(folder_));
  }
  const fs::path path = folder_ / target("last");
  const fs::path facts_path = path / kTraining;
  json facts = parse_json(MappedFile(facts_path).text(), shown(facts_path));
  Progress made;
  try {
    const auto own = facts.at("xxh64").get<std::string>();
    facts.erase("xxh64");
    if (hash_of(facts.dump()) != own) {
      fail(ErrorKind::unreadable,
           "{}: its numbers are not those that were written; the checkpoint is damaged",
           shown(facts_path));
    }
    if (facts.at("format") != kFormat) {
      fail(ErrorKind::unreadable, "{}: its format is not {}", shown(facts_path), kFormat);
    }
    const TrainConfig before =
        parse_config(facts.at("config").get<std::string>(), shown(facts_path));
    const std::string difference = first_difference(config_, before);
    if (!difference.empty()) {
      fail(ErrorKind::unreadable, "{}: is of another configuration: {}", shown(path), difference);
    }
    for (const auto& [what, hash] : inputs_) {
      if (facts.at("inputs").value(what, "") != hash) {
        fail(ErrorKind::unreadable, "{}: was trained on another {}", shown(path), what);
      }
    }
    check_files(path, facts.at("files"));
    made = {.step = facts.at("step"),
            .cursor = {facts.at("epoch"), facts.at("next")},
            .first = facts.at("first"),
            .average = facts.at("average"),
            .best_step = facts.at("best_step"),
            .waited = facts.at("waited")};
    if (!facts.at("best").is_null()) made.best = facts.at("best").get<double>();
  } catch (const json::exception&) {
    fail(ErrorKind::unreadable, "{}: is no description of a checkpoint; it is damaged",
         shown(facts_path));
  }
  read_state(path / kState, optimiser);
  return made;
}

}  // namespace regard::train
