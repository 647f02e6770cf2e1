// From a GGUF to a folder of transformers: encoders and T5, matrices that a file has apart,
// settings that need another form, what goes along, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "convert/convert.h"
#include "formats/gguf_tensors.h"
#include "formats/safetensors.h"
#include "regard/error.h"
#include "regard/tokenizer.h"
#include "runtime/reference.h"
#include "writers/gguf_writer.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    base = fs::path(testing::TempDir()) /
           ("folder-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(base);
    fs::create_directories(base);
  }
  void TearDown() override { fs::remove_all(base); }

  // A file like `from`, with what `change` makes of each tensor: none, itself, several.
  using Change = std::function<std::vector<TensorToWrite>(TensorToWrite, const TensorInfo&)>;
  void rewrite(const fs::path& from, const fs::path& to, const Change& change,
               const std::function<void(GgufWriter&)>& more = {}) {
    const GgufTensors file = GgufTensors::open(from);
    GgufWriter writer;
    for (const GgufValue& value : file.keys().keys()) writer.copy(value);
    if (more) more(writer);
    for (const TensorInfo& tensor : file.tensors()) {
      TensorToWrite same{.name = tensor.name,
                         .dtype = *tensor.dtype,
                         .rank = tensor.rank,
                         .shape = tensor.shape,
                         .produce = [&tensor](const auto& take) { take(tensor.data); }};
      for (TensorToWrite& made : change(std::move(same), tensor)) writer.tensor(std::move(made));
    }
    writer.write(to);
  }

  static void expect_same(const fs::path& a, const fs::path& b, const Reference& reference) {
    const auto one = Model::load(a.string(), {.threads = 1}).forward(reference.sequences);
    const auto other = Model::load(b.string(), {.threads = 1}).forward(reference.sequences);
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].logits, other[i].logits) << i;
  }

  static std::string refusal(const std::function<void()>& act) {
    try {
      act();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was refused";
  }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(base)) found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }

  fs::path base;
};

std::vector<TensorToWrite> as_is(TensorToWrite same, const TensorInfo&) {
  return {std::move(same)};
}

TEST_F(Folder, OfEncodersIsTheSameModel) {
  for (const char* name : {"bert-1", "bert-2", "roberta-1", "roberta-2", "minilm-1", "minilm-2",
                           "minilm-max", "t5-1", "t5-2", "flan-t5-1", "flan-t5-2"}) {
    const Reference reference(name);
    const fs::path file = base / (std::string(name) + ".gguf"), back = base / name;
    convert(reference.folder, file);
    convert(file, back);
    const Model before = Model::load(reference.folder.string(), {.threads = 1});
    const Model after = Model::load(back.string(), {.threads = 1});
    EXPECT_EQ(after.facts().context, before.facts().context) << name;
    EXPECT_EQ(after.embed(reference.sequences).numbers, before.embed(reference.sequences).numbers)
        << name;
    if (reference.greedy.empty()) continue;
    const std::vector<float> logits = reference.logits_of_answers(before);
    EXPECT_FALSE(logits.empty());
    EXPECT_EQ(reference.logits_of_answers(after), logits) << name;
  }
}

TEST_F(Folder, JoinsWhatTheFileHasApart) {
  const Reference reference("phi3-1");
  const fs::path whole = base / "whole.gguf", apart = base / "apart.gguf", back = base / "back";
  convert(reference.folder, whole);
  const int64_t q = 3 * 20, kv = 1 * 20;  // of phi3-1's config.json
  rewrite(whole, apart, [&](TensorToWrite same, const TensorInfo& tensor) {
    struct Part {
      std::string_view name;
      int64_t rows;
    };
    std::vector<Part> parts;
    std::string stem;
    if (const auto at = tensor.name.find("attn_qkv"); at != std::string::npos) {
      stem = tensor.name.substr(0, at);
      parts = {{"attn_q", q}, {"attn_k", kv}, {"attn_v", kv}};
    } else if (const auto up = tensor.name.find("ffn_up"); up != std::string::npos) {
      stem = tensor.name.substr(0, up);
      parts = {{"ffn_gate", tensor.shape[0] / 2}, {"ffn_up", tensor.shape[0] / 2}};
    } else {
      return as_is(std::move(same), tensor);
    }
    std::vector<TensorToWrite> made;
    std::size_t offset = 0;
    for (const Part& part : parts) {
      TensorToWrite one = same;
      one.name = stem + std::string(part.name) + ".weight";
      one.shape[0] = part.rows;
      one.produce = [bytes = tensor.data.subspan(offset, one.bytes())](const auto& take) {
        take(bytes);
      };
      offset += one.bytes();
      made.push_back(std::move(one));
    }
    return made;
  });
  convert(apart, back);
  EXPECT_TRUE(Safetensors::open(back).has("model.layers.0.self_attn.qkv_proj.weight"));
  expect_same(reference.folder, back, reference);
}

TEST_F(Folder, SaysFactorsThatNoFormMakesAsTheyAre) {
  const Reference reference("llama-2");
  const fs::path whole = base / "whole.gguf", odd = base / "odd.gguf", back = base / "back";
  convert(reference.folder, whole);
  std::vector<float> factors(64);
  for (std::size_t i = 0; i < factors.size(); ++i) factors[i] = 1 + 0.1f * static_cast<float>(i);
  rewrite(whole, odd, [&](TensorToWrite same, const TensorInfo& tensor) {
    if (tensor.name == "rope_freqs.weight") {
      same.produce = [&](const auto& take) { take(std::as_bytes(std::span(factors))); };
    }
    return as_is(std::move(same), tensor);
  });
  convert(odd, back);
  EXPECT_NE(contents(back / "config.json").find("longrope"), std::string::npos);
  expect_same(odd, back, reference);
  convert(whole, base / "usual");
  EXPECT_NE(contents(base / "usual" / "config.json").find("llama3"), std::string::npos);
}

TEST_F(Folder, HasTheTokenizerAndTheEnds) {
  const Reference reference("llama-1");
  const fs::path whole = base / "whole.gguf", with = base / "with.gguf", back = base / "back";
  convert(reference.folder, whole);
  EXPECT_FALSE(convert(whole, base / "bare").tokenizer);
  rewrite(whole, with, as_is, [](GgufWriter& writer) {
    writer.key("tokenizer.huggingface.json", "{\"model\": 1}");
    writer.key("tokenizer.huggingface.config.json", "{\"a\": 2}");
    writer.key("tokenizer.chat_template", "{{ messages }}");
    writer.key("tokenizer.ggml.bos_token_id", uint32_t{1});
    writer.key("tokenizer.ggml.eot_token_id", uint32_t{7});
    writer.key("tokenizer.ggml.padding_token_id", uint32_t{1'000'000});  // no token of this model
  });
  EXPECT_THROW(convert(with, base / "pad"), Error);
  rewrite(whole, with, as_is, [](GgufWriter& writer) {
    writer.key("tokenizer.huggingface.json", "{\"model\": 1}");
    writer.key("tokenizer.huggingface.config.json", "{\"a\": 2}");
    writer.key("tokenizer.chat_template", "{{ messages }}");
    writer.key("tokenizer.ggml.bos_token_id", uint32_t{1});
    writer.key("tokenizer.ggml.eot_token_id", uint32_t{7});
  });
  EXPECT_TRUE(convert(with, back).tokenizer);
  EXPECT_EQ(contents(back / "tokenizer.json"), "{\"model\": 1}");
  EXPECT_EQ(contents(back / "tokenizer_config.json"), "{\"a\": 2}");
  EXPECT_EQ(contents(back / "chat_template.jinja"), "{{ messages }}");
  const auto generation = parse_json(contents(back / "generation_config.json"), "generation");
  EXPECT_EQ(generation.at("bos_token_id"), 1);
  EXPECT_EQ(generation.at("eos_token_id"), nlohmann::json({2, 7}));
  EXPECT_EQ(parse_json(contents(back / "config.json"), "config").at("dtype"), "float16");
}

TEST_F(Folder, MakesTokenizerJsonOfByteLevelKeys) {
  const Reference reference("llama-1");
  const fs::path whole = base / "whole.gguf", with = base / "with.gguf";
  convert(reference.folder, whole);
  TokenizerSpec spec{.model = "gpt2", .pre = "smollm", .tokens = {"<end>"}};
  for (char letter = 'a'; letter <= 'z'; ++letter) spec.tokens.emplace_back(1, letter);
  for (char digit = '0'; digit <= '9'; ++digit) spec.tokens.emplace_back(1, digit);
  for (const char* more : {"Ġ", "ab", "Ġa", "12"}) spec.tokens.emplace_back(more);
  spec.merges = {"a b", "Ġ a", "1 2"};
  while (spec.tokens.size() < 89) {  // as many as llama-1 has
    spec.tokens.push_back("~" + std::to_string(spec.tokens.size()));
  }
  std::vector<int32_t> types(spec.tokens.size(), 1);
  types[0] = 3;
  types[88] = 4;
  for (const int32_t type : types) spec.types.push_back(static_cast<TokenType>(type));
  spec.eos = 0;
  const auto write = [&](const std::vector<std::string>& merges, bool add_bos) {
    rewrite(whole, with, as_is, [&](GgufWriter& writer) {
      writer.key("tokenizer.ggml.model", spec.model);
      writer.key("tokenizer.ggml.pre", spec.pre);
      writer.key("tokenizer.ggml.tokens", spec.tokens);
      writer.key("tokenizer.ggml.token_type", types);
      writer.key("tokenizer.ggml.merges", merges);
      writer.key("tokenizer.ggml.add_bos_token", add_bos);
    });
  };
  write(spec.merges, false);
  EXPECT_TRUE(convert(with, base / "back").tokenizer);
  const Tokenizer before(spec);
  const Tokenizer after = Tokenizer::from_json(contents(base / "back" / "tokenizer.json"),
                                               contents(base / "back" / "tokenizer_config.json"));
  for (const char* text : {"ab a b 12 1234", "cab<end>ab aa", " a ~88b 1", "<end>", ""}) {
    EXPECT_EQ(after.encode(text), before.encode(text)) << text;
    EXPECT_EQ(after.decode(before.encode(text)), before.decode(before.encode(text)));
  }
  EXPECT_EQ(before.encode("ab12").size(), 3u);  // a pair of letters; digits stay apart

  write(spec.merges, true);  // needs a post-processor
  EXPECT_FALSE(convert(with, base / "begins").tokenizer);
  EXPECT_FALSE(fs::exists(base / "begins" / "tokenizer.json"));
  write({"a nothing"}, false);
  EXPECT_FALSE(convert(with, base / "broken").tokenizer);
}

TEST_F(Folder, IsRefusedAndLeavesNothing) {
  const Reference reference("llama-1");
  const fs::path whole = base / "whole.gguf", other = base / "other.gguf", back = base / "back";
  convert(reference.folder, whole);
  const auto now = [&](const fs::path& file, const ConvertOptions& options = {}) {
    return refusal([&] { convert(file, back, options); });
  };
  EXPECT_NE(now(whole, {.dtype = DType::q8_0, .progress = {}}).find("f32, f16 and bf16"),
            std::string::npos);
  const std::atomic<bool> interrupt = true;
  EXPECT_NE(now(whole, {.dtype = {}, .interrupt = &interrupt, .progress = {}}).find("interrupted"),
            std::string::npos);
  rewrite(whole, other, [](TensorToWrite same, const TensorInfo& tensor) {
    if (same.name == "blk.1.ffn_up.weight") same.name = "blk.1.ffn_sideways.weight";
    return as_is(std::move(same), tensor);
  });
  EXPECT_NE(now(other).find("blk.1.ffn_sideways.weight has no place"), std::string::npos);
  rewrite(whole, other, as_is,
          [](GgufWriter& writer) { writer.key("llama.final_logit_softcapping", 30.0f); });
  EXPECT_NE(now(other).find("llama.final_logit_softcapping"), std::string::npos);
  EXPECT_EQ(names(), (std::vector<std::string>{"other.gguf", "whole.gguf"}));

  fs::create_directories(back);
  std::ofstream(back / "mine") << "old";
  EXPECT_NE(now(whole).find("is there already"), std::string::npos);
  EXPECT_EQ(contents(back / "mine"), "old");
  fs::remove(back / "mine");
  EXPECT_EQ(now(whole), "nothing was refused");  // an empty folder is as good as none
}

}  // namespace
}  // namespace regard
