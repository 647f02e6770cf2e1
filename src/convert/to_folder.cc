#include "convert/to_folder.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "convert/rows.h"
#include "convert/tokenizer_json.h"
#include "families/families.h"
#include "formats/gguf_tensors.h"
#include "models/gguf_keys.h"
#include "models/stored_tensors.h"
#include "models/transforms.h"
#include "writers/atomic_file.h"
#include "writers/atomic_folder.h"
#include "writers/safetensors_writer.h"

namespace regard {
namespace {

namespace fs = std::filesystem;
using models::Settings;
using models::StoredTensor;
using models::Transform;
using nlohmann::json;

void write_json(const fs::path& path, const json& value) {
  write_atomically(path, value.dump(2) + "\n");
}

// The biases that the file has, which its keys do not say.
void find_biases(const TensorSource& tensors, Settings& settings) {
  const auto any = [&](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](const char* name) { return tensors.has(name); });
  };
  settings.attention_bias = any({"blk.0.attn_q.bias", "blk.0.attn_qkv.bias"});
  settings.output_bias = any({"blk.0.attn_output.bias"});
  settings.mlp_bias = any({"blk.0.ffn_up.bias"});
}

void give(const TensorSource& source, const Settings& settings, const StoredTensor& tensor,
          DType dtype, const std::atomic<bool>* interrupt, const std::function<void(Bytes)>& take) {
  const bool as_it_lies =
      tensor.transform == Transform::as_is || tensor.transform == Transform::stacked;
  std::vector<std::byte> whole;
  const auto collect = [&](Bytes bytes) { whole.insert(whole.end(), bytes.begin(), bytes.end()); };
  for (const TensorInfo* part : tensor.parts) {
    // A vector's numbers are its rows here, but lie in one.
    const int64_t rows = part->rank == 1            ? 1
                         : tensor.parts.size() == 1 ? tensor.rows
                                                    : part->shape[0];
    if (as_it_lies) {
      give_rows(source, *part, tensor.first, rows, dtype, interrupt, take);
    } else {
      give_rows(source, *part, tensor.first, rows, dtype, interrupt, collect);
    }
  }
  if (as_it_lies) return;
  take(models::restored(tensor.transform, tensor.joined(dtype, whole), settings));
}

// The ids that the file's tokenizer gives a meaning, as transformers calls them.
json special_ids(const GgufFile& file, int64_t vocabulary) {
  json ids = json::object();
  for (const auto& [key, name] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                  std::pair{"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                  std::pair{"tokenizer.ggml.padding_token_id", "pad_token_id"}}) {
    if (const auto id = file.find_int(key, 0, vocabulary - 1)) ids[name] = *id;
  }
  // Whatever ends an answer.
  std::vector<int64_t> ends;
  const auto add = [&](int64_t id) {
    const bool known = std::find(ends.begin(), ends.end(), id) != ends.end();
    if (!known && id >= 0 && id < vocabulary) ends.push_back(id);
  };
  if (ids.contains("eos_token_id")) add(ids["eos_token_id"].get<int64_t>());
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = file.find_int(key, 0, vocabulary - 1)) add(*id);
  }
  if (const auto more = file.find_i32s("tokenizer.ggml.eos_token_ids")) {
    constexpr std::size_t kMostEnds = 64;
    for (std::size_t i = 0; i < std::min(more->size(), kMostEnds); ++i) add((*more)[i]);
  }
  if (ends.size() > 1) ids["eos_token_id"] = ends;
  return ids;
}

// Whether there was a tokenizer to write.
bool write_tokenizer(const GgufFile& file, const fs::path& folder) {
  const auto copy = [&](const char* key, const char* name) {
    const auto text = file.find_string(key);
    if (text) write_atomically(folder / name, *text);
    return text.has_value();
  };
  copy("tokenizer.huggingface.config.json", "tokenizer_config.json");
  copy("tokenizer.chat_template", "chat_template.jinja");
  if (copy("tokenizer.huggingface.json", "tokenizer.json")) return true;
  const auto made = tokenizer_json(file);
  if (!made) return false;
  write_json(folder / "tokenizer.json", made->tokenizer);
  if (!file.has("tokenizer.huggingface.config.json")) {
    write_json(folder / "tokenizer_config.json", made->config);
  }
  return true;
}

// How sentence-transformers keeps what becomes of an encoder's states.
void write_pooling(const Settings& settings, const fs::path& folder) {
  if (settings.form != models::Form::encoder) return;
  json modules = json::array();
  const auto add = [&](const char* path, const char* name) {
    modules.push_back({{"idx", modules.size()},
                       {"name", std::to_string(modules.size())},
                       {"path", path},
                       {"type", std::string("sentence_transformers.models.") + name}});
  };
  add("", "Transformer");
  add("1_Pooling", "Pooling");
  if (settings.encoder.normalise) add("2_Normalize", "Normalize");
  write_json(folder / "modules.json", modules);
  if (settings.encoder.most_tokens > 0) {
    write_json(folder / "sentence_bert_config.json",
               {{"max_seq_length", settings.encoder.most_tokens}});
  }
  std::error_code error;
  fs::create_directory(folder / "1_Pooling", error);
  const Pooling pooling = settings.encoder.pooling;
  write_json(folder / "1_Pooling" / "config.json",
             {{"word_embedding_dimension", settings.width},
              {"pooling_mode_mean_tokens", pooling == Pooling::mean},
              {"pooling_mode_cls_token", pooling == Pooling::cls},
              {"pooling_mode_lasttoken", pooling == Pooling::last},
              {"pooling_mode_max_tokens", pooling == Pooling::max}});
}

const char* torch_name(DType dtype) {
  if (dtype == DType::f16) return "float16";
  return dtype == DType::bf16 ? "bfloat16" : "float32";
}

}  // namespace

Converted convert_to_folder(const fs::path& in, const fs::path& out,
                            const ConvertOptions& options) {
  const std::optional<DType> wanted = options.dtype;
  require(!wanted || *wanted == DType::f32 || *wanted == DType::f16 || *wanted == DType::bf16,
          "convert: a folder of safetensors holds f32, f16 and bf16, not {}", info(*wanted).name);
  const GgufTensors file = GgufTensors::open(in);
  const models::Family& known = families::family_of(file.keys());
  Settings settings = models::read_keys(file.keys(), file, known);
  const models::Family& family = families::stored_family(settings, known);
  find_biases(file, settings);
  json config = families::write_config(settings, family, file.name());
  const std::vector<StoredTensor> stored = models::stored_tensors(file, family, settings);

  Converted done;
  done.architecture = family.model_types.front();
  DType most = DType::f32;  // of the matrices
  std::vector<TensorToWrite> tensors;
  for (const StoredTensor& tensor : stored) {
    const TensorInfo& first = *tensor.parts.front();
    for (const TensorInfo* part : tensor.parts) {
      if (part->dtype && *part->dtype != DType::f64 && *part->dtype != DType::i8) continue;
      fail(ErrorKind::unreadable, "{}: tensor {} is {}, which cannot be converted", file.name(),
           printable(part->name), part->type_name);
    }
    const DType dtype = target_dtype(first, wanted);
    if (dtype != DType::f32) most = dtype;
    tensors.push_back({.name = tensor.name,
                       .dtype = dtype,
                       .rank = tensor.rank,
                       .shape = tensor.shape,
                       .produce = [&, one = &tensor, dtype](const auto& take) {
                         give(file, settings, *one, dtype, options.interrupt, take);
                       }});
  }
  const json ids = special_ids(file.keys(), settings.vocabulary);
  config.update(ids);
  config["dtype"] = torch_name(most);

  AtomicFolder whole(out);
  whole.fill([&](const fs::path& folder) {
    write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}}, options.progress);
    write_json(folder / "config.json", config);
    if (settings.form != models::Form::encoder && !ids.empty()) {
      json generation = ids;
      if (settings.form == models::Form::encoder_decoder) {
        generation["decoder_start_token_id"] = settings.encoder.decoder_start;
      }
      write_json(folder / "generation_config.json", generation);
    }
    write_pooling(settings, folder);
    done.tokenizer = write_tokenizer(file.keys(), folder);
    std::error_code error;
    done.bytes = fs::file_size(folder / "model.safetensors", error);
  });
  done.tensors = std::ssize(tensors);
  whole.commit();
  return done;
}

}  // namespace regard
