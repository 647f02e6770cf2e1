// Settings of transformers: both generations read alike, and every wrong value ends in one line.
#include "formats/hf_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "regard/error.h"

namespace regard {
namespace {

HfConfig config(std::string_view text) { return HfConfig::parse(text, "config.json"); }

void expect_refusal(const std::function<void()>& call, std::string_view words) {
  try {
    call();
    ADD_FAILURE() << "not refused: " << words;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    EXPECT_NE(message.find(words), std::string::npos) << message;
    EXPECT_EQ(message.rfind("config.json: ", 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(HfConfig, TypedValues) {
  const HfConfig c = config(R"({"n":4,"w":4.0,"f":1e-5,"b":true,"s":"silu","z":null,
      "l":["a","b"],"e":[1,2],"p":{"q":{"r":7}}})");
  EXPECT_EQ(c.get_int("n", 4, 4), 4);
  EXPECT_EQ(c.get_int("w", 1, 9), 4);
  EXPECT_EQ(c.get_f64("f", 0, 1), 1e-5);
  EXPECT_EQ(c.get_f64("n", 0, 9), 4.0);
  EXPECT_TRUE(c.get_bool("b"));
  EXPECT_EQ(c.get_string("s"), "silu");
  EXPECT_FALSE(c.has("z"));
  EXPECT_FALSE(c.find_int("z", 0, 1));
  EXPECT_EQ(*c.find_layer_strings("l", 2), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*c.find_ints("e", 0, 2, 2), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(*c.find_ints("n", 0, 9, 1), (std::vector<int64_t>{4}));
  EXPECT_EQ(*c.find_layer_ints("n", 3, 0, 9), (std::vector<int64_t>{4, 4, 4}));
  EXPECT_EQ(c.find_object("p")->find_object("q")->get_int("r", 0, 9), 7);
}

TEST(HfConfig, WrongValuesAreNamed) {
  const HfConfig c = config(R"({"n":4,"f":1.5,"big":99999999999999999999,"u":18446744073709551615,
      "b":1,"s":7,"l":["a",1],"e":[1,"x"],"o":3,"p":{"q":-1,"t":[1]}})");
  expect_refusal([&] { c.get_int("gone", 0, 1); }, "gone: is missing");
  expect_refusal([&] { c.get_int("n", 5, 9); }, "n: is 4; it must be 5 to 9");
  expect_refusal([&] { c.get_int("f", 0, 9); }, "f: is 1.5; it must be a whole number");
  expect_refusal([&] { c.get_int("big", 0, 9); }, "big: is 1e+20; it must be a whole number");
  expect_refusal([&] { c.get_int("u", 0, 9); }, "u: is 18446744073709551615; it must be 0 to 9");
  expect_refusal([&] { c.get_int("l", 0, 9); }, "l: is a list; it must be a whole number");
  expect_refusal([&] { c.get_f64("s", 0, 1); }, "s: is 7; it must be 0 to 1");
  expect_refusal([&] { c.get_f64("l", 0, 1); }, "l: is a list; it must be a number");
  expect_refusal([&] { c.get_bool("b"); }, "b: is a number; it must be true or false");
  expect_refusal([&] { c.get_string("s"); }, "s: is a number; it must be a text");
  expect_refusal([&] { c.find_strings("l", 9); }, "l: entry 1 is a number");
  expect_refusal([&] { c.find_strings("s", 9); }, "s: is a number; it must be a list");
  expect_refusal([&] { c.find_ints("e", 0, 9, 9); }, "e[1]: is a text");
  expect_refusal([&] { c.find_ints("e", 0, 9, 1); }, "e: has 2 entries; at most 1");
  expect_refusal([&] { c.find_layer_strings("e", 3); }, "e: entry 0 is a number");
  expect_refusal([&] { c.find_layer_ints("p", 3, 0, 1); }, "p: is an object");
  expect_refusal([&] { c.find_object("o"); }, "o: is a number; it must be an object");
  expect_refusal([&] { c.find_object("p")->get_int("q", 0, 1); }, "p.q: is -1; it must be 0 to 1");
  expect_refusal([&] { c.find_object("p")->find_layer_ints("t", 2, 0, 9); },
                 "p.t: has 1 entries; it must have one for each of the 2 layers");
}

TEST(HfConfig, TextThatIsNotSettings) {
  expect_refusal([] { config("[]"); }, "is a list; a model's settings are an object");
  expect_refusal([] { config(""); }, "byte 0: is empty");
  expect_refusal([] { config(R"({"eps":NaN})"); }, "byte 7: NaN is not JSON");
  expect_refusal([] { config(R"({"a":1,"a":2})"); }, "is there twice");
  expect_refusal([] { config(std::string(60'000, '[')); }, "nested more than 32 deep");
  expect_refusal([] { config(std::string(17 << 20, ' ')); }, "at most 16777216");
}

TEST(HfConfig, RopeOfBothGenerations) {
  const HfRope plain = config(R"({"rope_theta":500000.0,"rope_scaling":null})").rope();
  EXPECT_EQ(plain.theta, 500000.0);
  EXPECT_EQ(plain.type, "default");
  EXPECT_EQ(config("{}").rope(1e6).theta, 1e6);

  const std::string_view inner = R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
      "original_max_position_embeddings":8192,"rope_type":"llama3")";
  const auto four = config(fmt::format(R"({{"rope_theta":5e5,"rope_scaling":{{{}}}}})", inner));
  const auto five = config(fmt::format(R"({{"rope_parameters":{{"rope_theta":5e5,{}}}}})", inner));
  for (const HfConfig& c : {four, five}) {
    const HfRope rope = c.rope();
    EXPECT_EQ(rope.type, "llama3");
    EXPECT_EQ(rope.theta, 5e5);
    EXPECT_EQ(rope.factor, 8.0);
    EXPECT_EQ(rope.low_freq, 1.0);
    EXPECT_EQ(rope.high_freq, 4.0);
    EXPECT_EQ(rope.original_context, 8192);
  }
  const HfRope su = config(R"({"original_max_position_embeddings":4096,"partial_rotary_factor":0.75,
      "rope_scaling":{"type":"su","short_factor":[1.0,1.5],"long_factor":[2,3]}})")
                        .rope();
  EXPECT_EQ(su.type, "longrope");
  EXPECT_EQ(su.original_context, 4096);
  EXPECT_EQ(su.partial, 0.75);
  EXPECT_EQ(su.long_factor, (std::vector<double>{2, 3}));
}

TEST(HfConfig, RopeThatDiffersByLayerType) {
  const HfConfig four = config(R"({"rope_theta":1e6,"rope_local_base_freq":10000.0,
      "rope_scaling":{"rope_type":"linear","factor":8.0}})");
  const HfConfig five = config(R"({"rope_parameters":{
      "full_attention":{"rope_type":"linear","rope_theta":1e6,"factor":8.0},
      "sliding_attention":{"rope_type":"default","rope_theta":10000.0}}})");
  for (const HfConfig& c : {four, five}) {
    const HfRope full = c.rope(1, "full_attention");
    EXPECT_EQ(full.type, "linear");
    EXPECT_EQ(full.theta, 1e6);
    EXPECT_EQ(full.factor, 8.0);
    const HfRope local = c.rope(1, "sliding_attention");
    EXPECT_EQ(local.type, "default");
    EXPECT_EQ(local.theta, 10000.0);
    EXPECT_FALSE(local.factor);
  }
  const HfRope usual =
      config(R"({"rope_theta":5,"rope_scaling":{"rope_type":"linear","factor":8.0}})")
          .rope(3, "sliding_attention");
  EXPECT_EQ(usual.type, "default");
  EXPECT_EQ(usual.theta, 3.0);
  expect_refusal([&] { five.rope(); }, "rope_parameters.full_attention: the settings differ");
  expect_refusal([&] { five.rope(1, "chunked_attention"); },
                 "rope_parameters.chunked_attention: is missing");
  expect_refusal([] { config(R"({"rope_scaling":{"factor":0}})").rope(); }, "rope_scaling.factor");
  expect_refusal([] { config(R"({"rope_scaling":[]})").rope(); }, "rope_scaling: is a list");
  expect_refusal([] { config(R"({"rope_theta":-1})").rope(); }, "rope_theta: is -1");
}

TEST(HfConfig, NamesOfEitherGeneration) {
  EXPECT_EQ(config(R"({"torch_dtype":"float16"})").dtype(), "float16");
  EXPECT_EQ(config(R"({"dtype":"bfloat16"})").dtype(), "bfloat16");
  EXPECT_FALSE(config("{}").dtype());
  const HfConfig nested = config(R"({"model_type":"gemma3","text_config":{"hidden_size":8}})");
  EXPECT_EQ(nested.text().get_int("hidden_size", 1, 9), 8);
  expect_refusal([&] { nested.text().get_int("n", 1, 9); }, "text_config.n: is missing");
  EXPECT_EQ(config(R"({"hidden_size":8})").text().get_int("hidden_size", 1, 9), 8);
}

TEST(HfConfig, EndsOfText) {
  const auto ids = [](std::string_view own, std::string_view generation) {
    return HfConfig::parse(own, "config.json", generation, "generation_config.json").eos_ids(100);
  };
  EXPECT_EQ(ids(R"({"eos_token_id":2})", R"({"eos_token_id":[3,4]})"),
            (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(ids(R"({"eos_token_id":2})", "{}"), (std::vector<int64_t>{2}));
  EXPECT_EQ(config("{}").eos_ids(9), std::vector<int64_t>());
  EXPECT_EQ(config(R"({"text_config":{"eos_token_id":7}})").eos_ids(9), (std::vector<int64_t>{7}));
  EXPECT_EQ(config(R"({"eos_token_id":6,"text_config":{"eos_token_id":7}})").eos_ids(9),
            (std::vector<int64_t>{6}));
  expect_refusal([] { config(R"({"eos_token_id":100})").eos_ids(100); }, "eos_token_id: is 100");
}

TEST(HfConfig, FolderWithBothFiles) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "hf_config_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({"model_type":"llama","eos_token_id":2})";
  std::filesystem::remove(folder / "generation_config.json");
  EXPECT_EQ(HfConfig::open(folder).eos_ids(10), (std::vector<int64_t>{2}));
  EXPECT_FALSE(HfConfig::open(folder).generation().has("eos_token_id"));
  std::ofstream(folder / "generation_config.json") << R"({"eos_token_id":[1]})";
  EXPECT_EQ(HfConfig::open(folder).eos_ids(10), (std::vector<int64_t>{1}));
  EXPECT_EQ(HfConfig::open(folder).model_type(), "llama");
  std::ofstream(folder / "generation_config.json") << "{";
  EXPECT_THROW(HfConfig::open(folder), Error);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace regard
