#include "models/load.h"

#include "base/check.h"
#include "base/printable.h"
#include "models/llama.h"

namespace regard::models {

Decoder load(const GgufFile& file, ThreadPool& pool) {
  const std::string_view architecture = file.get_string("general.architecture");
  if (architecture == "llama") return load_llama(file, pool);
  fail(ErrorKind::unreadable, "{}: architecture \"{}\" is not supported; llama is", file.name(),
       printable(architecture));
}

}  // namespace regard::models
