#include "formats/describe.h"

#include <gtest/gtest.h>

#include "base/printable.h"
#include "gguf_builder.h"
#include "regard/error.h"
#include "safetensors_builder.h"

namespace regard {
namespace {

TEST(Describe, SaysWhatTheFileSays) {
  GgufBuilder builder = small_model();
  builder.string_key("tokenizer.ggml.pre", "smollm").string_key("general.size_label", "1K");
  builder.string_key("general.license", "apache-2.0").tensor("odd", {256}, 16, 66);
  const std::string bytes = builder.build();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "small.gguf");
  const FileSummary summary = summarise(file);
  EXPECT_EQ(summary.format, "GGUF version 3");
  EXPECT_EQ(summary.architecture, "llama");
  EXPECT_EQ(summary.name, "small");
  EXPECT_EQ(summary.size_label, "1K");
  EXPECT_EQ(summary.license, "apache-2.0");
  EXPECT_EQ(summary.tokenizer, "gpt2 (smollm)");
  EXPECT_EQ(summary.file_bytes, static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(summary.tensors, 4);
  EXPECT_EQ(summary.keys, 16);
  EXPECT_EQ(summary.parameters, 32 * 4 + 32 + 32 * 3 + 256);
  EXPECT_EQ(summary.tensor_bytes, 4 * 34 + 32 * 4 + 3 * 20 + 66);
  EXPECT_EQ(summary.layers, 1);
  EXPECT_EQ(summary.width, 32);
  EXPECT_EQ(summary.context_length, 64);
  EXPECT_EQ(summary.tokens, 4);
  EXPECT_EQ(summary.heads, (std::vector<int64_t>{4}));
  EXPECT_EQ(summary.kv_heads, (std::vector<int64_t>{2}));
  EXPECT_EQ(summary.feed_forward, (std::vector<int64_t>{64}));
  EXPECT_EQ(summary.files, 1);
  ASSERT_EQ(summary.types.size(), 4u);
  const char* const kOrder[] = {"q8_0", "f32", "iq2_xxs", "q4_1"};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(summary.types[i].type, kOrder[i]);
  EXPECT_TRUE(summary.types[0].computable);
  EXPECT_FALSE(summary.types[2].computable);
  EXPECT_EQ(summary.types[3].tensors, 1);
  EXPECT_EQ(summary.types[3].parameters, 96);
  EXPECT_EQ(summary.types[3].bytes, 60);
}

TEST(Describe, AFileWithoutKeysIsDescribedToo) {
  const std::string bytes = GgufBuilder().f32_tensor("t", {2, 2}).build();
  const FileSummary summary = summarise(GgufFile::parse(as_bytes(bytes), "bare.gguf"));
  EXPECT_EQ(summary.architecture, "");
  EXPECT_EQ(summary.parameters, 4);
  EXPECT_EQ(summary.layers, std::nullopt);
  EXPECT_TRUE(summary.heads.empty());
}

TEST(Describe, NamesAPartOfASplitModel) {
  const std::string bytes = GgufBuilder().key<uint16_t>("split.count", 3).build();
  EXPECT_EQ(summarise(GgufFile::parse(as_bytes(bytes), "part.gguf")).files, 3);
}

TEST(Describe, RefusesAKeyOfAWrongType) {
  const std::string bytes = GgufBuilder().key<bool>("general.name", true).build();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "m.gguf");
  EXPECT_THROW(summarise(file), Error);
}

TEST(Printable, KeepsTextAndShowsTheRest) {
  EXPECT_EQ(printable("SmolLM2 Ümläut 模型 🙂"), "SmolLM2 Ümläut 模型 🙂");
  EXPECT_EQ(printable(std::string_view("a\0b\n\t\x7F", 6)), "a\\x00b\\x0A\\x09\\x7F");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\xC2\\x9B31m");                               // a control of two bytes
  EXPECT_EQ(printable("\xE2\x80\xAE"), "\\xE2\\x80\\xAE");  // right-to-left override
  EXPECT_EQ(printable("\xE2\x80\xA8"), "\\xE2\\x80\\xA8");  // line separator
  EXPECT_EQ(printable("\xC0\x80\xED\xA0\x80"), "\\xC0\\x80\\xED\\xA0\\x80");  // overlong, surrogate
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "\\xF4\\x90\\x80\\x80");           // beyond U+10FFFF
  EXPECT_EQ(printable("ab\xE6\xA8"), "ab\\xE6\\xA8");                         // cut in a character
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable("模型模型", 8), "模型...");
  EXPECT_EQ(printable("a\n", 4), "a...");
}

TEST(Describe, SaysWhatAFolderOfSafetensorsSays) {
  const std::string bytes =
      safetensors_file(R"({"__metadata__":{"format":"pt"},)" + entry("a", "BF16", "[3,2]", 0, 12) +
                           "," + entry("b", "F8_E4M3", "[1,2,1,2,1]", 12, 16) + "," +
                           entry("c", "F4", "[2,4]", 16, 20) + "}",
                       20);
  const Safetensors model = Safetensors::parse(as_bytes(bytes), "m.safetensors");
  const HfConfig config = HfConfig::parse(
      R"({"model_type":"llama","num_hidden_layers":2,"hidden_size":8,"num_attention_heads":4,
          "num_key_value_heads":2,"intermediate_size":16,"vocab_size":99,
          "max_position_embeddings":64})",
      "config.json");
  const FileSummary summary = summarise(model, &config);
  EXPECT_EQ(summary.format, "safetensors");
  EXPECT_EQ(summary.architecture, "llama");
  EXPECT_EQ(summary.file_bytes, std::ssize(bytes));
  EXPECT_EQ(summary.tensor_bytes, 20);
  EXPECT_EQ(summary.tensors, 3);
  EXPECT_EQ(summary.parameters, 6 + 4 + 8);
  ASSERT_EQ(summary.types.size(), 3u);
  EXPECT_EQ(summary.types[0].type, "bf16");
  EXPECT_TRUE(summary.types[0].computable);
  EXPECT_FALSE(summary.types[1].computable);
  EXPECT_EQ(summary.layers, 2);
  EXPECT_EQ(summary.width, 8);
  EXPECT_EQ(summary.tokens, 99);
  EXPECT_EQ(summary.context_length, 64);
  EXPECT_EQ(summary.heads, (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(summary.kv_heads, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(summary.feed_forward, (std::vector<int64_t>{16, 16}));
  EXPECT_EQ(summarise(model, nullptr).architecture, "");
}

TEST(Describe, CountsAllPartsOfASplitModel) {
  const std::string bytes = small_model().build();
  const GgufTensors model(GgufFile::parse(as_bytes(bytes), "m.gguf"));
  EXPECT_EQ(summarise(model).tensors, std::ssize(model.tensors()));
  EXPECT_EQ(summarise(model).parameters, summarise(model.keys()).parameters);
}

}  // namespace
}  // namespace regard
