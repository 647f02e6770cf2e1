#include "train/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <string_view>
#include <system_error>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/mapped_file.h"
#include "json/json.h"
#include "writers/atomic_file.h"

namespace regard::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json as_json(const Update& update) {
  json made = {{"step", update.step},      {"loss", update.loss}, {"average", update.average},
               {"rate", update.rate},      {"norm", update.norm}, {"tokens", update.tokens},
               {"seconds", update.seconds}};
  if (update.seconds > 0) {
    made["tokens_per_second"] = static_cast<double>(update.tokens) / update.seconds;
  }
  if (update.evaluation) {
    made["validation"] = {{"loss", update.evaluation->loss},
                          {"accuracy", update.evaluation->accuracy},
                          {"exact", update.evaluation->exact}};
  }
  return made;
}

Update from_json(const json& line) {
  Update made{.step = line.at("step"),
              .loss = line.at("loss"),
              .average = line.at("average"),
              .rate = line.at("rate"),
              .norm = line.at("norm"),
              .tokens = line.at("tokens"),
              .seconds = line.at("seconds")};
  if (line.contains("validation")) {
    const json& part = line.at("validation");
    made.evaluation = {part.at("loss"), part.at("accuracy"), part.at("exact")};
  }
  return made;
}

}  // namespace

std::vector<Update> read_log(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error) || fs::file_size(path, error) == 0) return {};
  const MappedFile file(path);
  std::string_view text = file.text();
  std::vector<Update> made;
  for (int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    // A program that was killed may have left a part of a line.
    if (end == std::string_view::npos) break;
    const std::string name = fmt::format("{}: line {}", printable(path.native(), 1024), number);
    const json line = parse_json(text.substr(0, end), name);
    text.remove_prefix(end + 1);
    try {
      made.push_back(from_json(line));
    } catch (const json::exception&) {
      fail(ErrorKind::unreadable, "{} is no line of a training log", name);
    }
  }
  return made;
}

Log::Log(const fs::path& path, int64_t from) : path_(path) {
  std::string kept;
  if (from > 0) {
    for (const Update& update : read_log(path)) {
      if (update.step <= from) kept += as_json(update).dump() + "\n";
    }
  }
  write_atomically(path, kept);
  file_ = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0) {
    fail(ErrorKind::failed, "{}: cannot be written: {}", printable(path.native(), 1024),
         std::generic_category().message(errno));
  }
}

Log::~Log() {
  if (file_ >= 0) close(file_);
}

void Log::write(const Update& update) {
  const std::string line = as_json(update).dump() + "\n";
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t count = ::write(file_, line.data() + done, line.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      fail(ErrorKind::failed, "{}: cannot be written: {}", printable(path_.native(), 1024),
           std::generic_category().message(errno));
    }
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace regard::train
