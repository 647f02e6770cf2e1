// The parts of a split model, put together. Each is a GGUF file of its own; the keys split.no (from
// 0), split.count and split.tensors.count, which every part carries, must agree with its name and
// with the other parts.
#include "formats/gguf_tensors.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/printable.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

constexpr int kMostParts = 9999;  // a limit on the files that one name may make us open

struct PartName {
  std::string stem;  // of the whole model
  int number = 0;    // from 1
  int count = 0;
};

// "name-00001-of-00003.gguf"
std::optional<PartName> part_name(const fs::path& path) {
  constexpr std::string_view kOf = "-of-";
  const std::string name = path.filename().string();
  constexpr std::size_t kTail = 1 + 5 + kOf.size() + 5 + 5;  // "-00001-of-00003.gguf"
  if (name.size() <= kTail) return {};
  const std::string_view tail = std::string_view(name).substr(name.size() - kTail);
  if (tail[0] != '-' || tail.substr(6, kOf.size()) != kOf || tail.substr(15) != ".gguf") return {};
  const auto number = [](std::string_view digits) -> int {
    int value = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? value : -1;
  };
  const PartName part{name.substr(0, name.size() - kTail), number(tail.substr(1, 5)),
                      number(tail.substr(10, 5))};
  if (part.number < 1 || part.count < 1) return {};
  return part;
}

int64_t split_key(const GgufFile& file, std::string_view key, int64_t most) {
  const auto number = file.find_int(key, 0, most);
  if (!number) {
    fail(ErrorKind::unreadable,
         "{}: key \"{}\" is missing, and the file's name says that it is a part of a split model",
         file.name(), key);
  }
  return *number;
}

void check_part(const GgufFile& file, int number, int64_t count, int64_t tensors) {
  const auto expect = [&](std::string_view key, int64_t is, int64_t wanted,
                          std::string_view whose) {
    if (is == wanted) return;
    fail(ErrorKind::unreadable, "{}: key \"{}\" is {}, and {} {}; these files are not one model",
         file.name(), key, is, whose, wanted);
  };
  expect("split.count", split_key(file, "split.count", UINT16_MAX), count,
         "the file's name says that there are");
  expect("split.no", split_key(file, "split.no", UINT16_MAX), number - 1,
         "counted from 0 the file's name says");
  expect("split.tensors.count", split_key(file, "split.tensors.count", INT32_MAX), tensors,
         "the first part says");
}

TensorInfo info_of(const GgufTensor& tensor) {
  TensorInfo info{.name = std::string(tensor.name),
                  .dtype = tensor.dtype,
                  .type_name = std::string(tensor.type_name),
                  .rank = tensor.rank,
                  .shape = {1, 1, 1, 1},
                  .data = tensor.data,
                  .inner = 1};
  for (int axis = 0; axis < tensor.rank; ++axis) {
    info.shape[axis] = tensor.dims[tensor.rank - 1 - axis];
  }
  return info;
}

}  // namespace

GgufTensors::GgufTensors(std::vector<GgufFile> files) : files_(std::move(files)) {
  for (const GgufFile& file : files_) {
    for (const GgufTensor& tensor : file.tensors()) tensors_.push_back(info_of(tensor));
  }
  index_ = TensorIndex(tensors_);
}

GgufTensors::GgufTensors(GgufFile file)
    : GgufTensors([&] {
        std::vector<GgufFile> files;
        files.push_back(std::move(file));
        return files;
      }()) {}

GgufTensors GgufTensors::open(const fs::path& path) {
  const std::optional<PartName> part = part_name(path);
  if (!part || part->count == 1) {
    GgufFile file = GgufFile::open(path);
    if (const int64_t count = file.find_int("split.count", 0, UINT16_MAX).value_or(1); count > 1) {
      fail(ErrorKind::unreadable,
           "{}: is one of {} parts of a split model, and its name does not say which; name the "
           "parts NAME-00001-of-{:05}.gguf and so on",
           file.name(), count, count);
    }
    return GgufTensors(std::move(file));
  }
  const std::string shown = printable(path.native(), 1024);
  if (part->number > part->count || part->count > kMostParts) {
    fail(ErrorKind::unreadable, "{}: the name says part {} of {}; parts are 1 to at most {}", shown,
         part->number, part->count, std::min(part->count, kMostParts));
  }
  std::vector<GgufFile> files;
  for (int number = 1; number <= part->count; ++number) {
    const fs::path name =
        path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", part->stem, number, part->count);
    std::error_code ignored;
    if (!fs::exists(name, ignored)) {
      fail(ErrorKind::unreadable, "{}: there is no such file; it is part {} of {} of the model",
           printable(name.native(), 1024), number, part->count);
    }
    GgufFile file = GgufFile::open(name);
    const GgufFile& first = files.empty() ? file : files.front();
    check_part(file, number, part->count, split_key(first, "split.tensors.count", INT32_MAX));
    files.push_back(std::move(file));
  }
  GgufTensors model(std::move(files));
  const int64_t promised = split_key(model.keys(), "split.tensors.count", INT32_MAX);
  if (std::ssize(model.tensors_) != promised) {
    fail(ErrorKind::unreadable,
         "{}: key \"split.tensors.count\" is {}, and the {} parts hold {} tensors", model.name(),
         promised, part->count, model.tensors_.size());
  }
  if (const TensorInfo* twice = model.index_.duplicate(model.tensors_)) {
    fail(ErrorKind::unreadable, "{}: tensor \"{}\" is in two parts of the model", model.name(),
         printable(twice->name));
  }
  return model;
}

void GgufTensors::release(std::span<const std::byte> part) const noexcept {
  for (const GgufFile& file : files_) {
    const std::byte* first = file.bytes().data();
    if (part.data() >= first && part.data() < first + file.bytes().size()) file.release(part);
  }
}

}  // namespace regard
