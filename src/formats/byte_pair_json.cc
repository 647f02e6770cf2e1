#include "formats/byte_pair_json.h"

#include <utility>

namespace regard::byte_pair_json {

using nlohmann::json;

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

json added_token(int64_t id, std::string_view content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

json tokenizer(Parts parts) {
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(parts.added_tokens)},
          {"normalizer", nullptr},
          {"pre_tokenizer", std::move(parts.pre_tokenizer)},
          {"post_processor", nullptr},
          {"decoder", std::move(parts.decoder)},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", std::move(parts.vocabulary)},
            {"merges", std::move(parts.merges)}}}};
}

}  // namespace regard::byte_pair_json
