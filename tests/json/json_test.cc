// JSON within bounds: what is read, and the one line that everything else ends in.
#include "json/json.h"

#include <gtest/gtest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "regard/error.h"

namespace regard {
namespace {

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  std::string plain, ordered;
  try {
    parse_json(text, "a.json", limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    plain = error.what();
  }
  try {
    parse_ordered_json(text, "a.json", limits);
  } catch (const Error& error) {
    ordered = error.what();
  }
  EXPECT_EQ(plain, ordered);
  EXPECT_EQ(plain.find('\n'), std::string::npos);
  EXPECT_LT(plain.size(), 400u);
  return plain;
}

void expect_refusal(std::string_view text, std::string_view place, std::string_view rule,
                    const JsonLimits& limits = {}) {
  const std::string message = refusal(text, limits);
  EXPECT_EQ(message.rfind("a.json: " + std::string(place), 0), 0u) << message;
  EXPECT_NE(message.find(rule), std::string::npos) << message;
}

TEST(Json, ReadsEveryKindOfValue) {
  const auto value = parse_json(
      R"( {"s":"a\u00e9\n","n":-3,"u":18446744073709551615,"f":1.5e3,"t":true,"z":null,"l":[1,[],{}]} )",
      "a.json");
  EXPECT_EQ(value["s"], "a\xC3\xA9\n");
  EXPECT_EQ(value["n"], -3);
  EXPECT_EQ(value["u"].get<uint64_t>(), ~uint64_t{0});
  EXPECT_EQ(value["f"], 1500.0);
  EXPECT_TRUE(value["t"].is_boolean());
  EXPECT_TRUE(value["z"].is_null());
  EXPECT_EQ(value["l"].size(), 3u);
  EXPECT_EQ(parse_json("7", "a.json"), 7);
}

TEST(Json, KeepsTheOrderWhereItIsAskedTo) {
  constexpr std::string_view kText = R"({"b":1,"a":{"z":[],"y":2},"c":[{"e":1,"d":2}]})";
  EXPECT_EQ(parse_ordered_json(kText, "a.json").dump(), kText);
  EXPECT_EQ(parse_json(kText, "a.json").dump(),
            R"({"a":{"y":2,"z":[]},"b":1,"c":[{"d":2,"e":1}]})");
}

TEST(Json, WhatIsNotJsonIsRefusedWithItsPlace) {
  expect_refusal("", "byte 0", "empty");
  expect_refusal(" \n", "byte 0", "empty");
  expect_refusal("{", "byte 1", "unexpected end");
  expect_refusal("[1,]", "byte 3", "unexpected ']'");
  expect_refusal("[1] x", "byte 4", "not JSON");
  expect_refusal("{'a':1}", "byte 1", "not JSON");
  expect_refusal("[01]", "byte 2", "not JSON");
  expect_refusal("[1e999]", "byte", "overflow");
  expect_refusal("// no\n1", "byte 0", "not JSON");
  expect_refusal("\"" + std::string(1'000'000, 'a'), "byte 1000001", "not JSON");
}

TEST(Json, NumbersThatPythonWritesAndJsonDoesNotHave) {
  expect_refusal(R"({"eps": NaN})", "byte 8", "NaN is not JSON");
  expect_refusal(R"({"eps": Infinity})", "byte 8", "Infinity is not JSON");
  expect_refusal(R"({"eps": -Infinity})", "byte 9", "Infinity is not JSON");
}

TEST(Json, TextIsUtf8) {
  expect_refusal("\"\xFF\"", "byte 1", "UTF-8");
  expect_refusal("\"\xED\xA0\x80\"", "byte 2", "UTF-8");
  expect_refusal("{\"\xC0\x80\":1}", "byte 2", "UTF-8");
  expect_refusal(R"(["\ud800"])", "byte", "surrogate");
  EXPECT_EQ(parse_json(R"("\ud83d\ude42")", "a.json"), "\xF0\x9F\x99\x82");
}

TEST(Json, AKeyIsThereOnce) {
  expect_refusal(R"({"a":1,"b":2,"a":3})", "byte 15", "key \"a\" is there twice");
  expect_refusal(R"([{"\u0061":1,"a":3}])", "byte 15", "key \"a\" is there twice");
  EXPECT_EQ(refusal(R"([{"a":1},{"a":1},{"b":{"a":1}}])"), "");
}

TEST(Json, DepthIsBounded) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(refusal(nested(64)), "");
  expect_refusal(nested(65), "byte 64", "nested more than 64 deep");
  expect_refusal(nested(60'000), "byte 64", "nested more than 64 deep");
  expect_refusal(std::string(60'000, '['), "byte 64", "nested more than 64 deep");
  std::string objects;
  for (int i = 0; i < 60'000; ++i) objects += "{\"a\":";
  expect_refusal(objects, "byte 320", "nested more than 64 deep");
  expect_refusal("[[1]]", "byte 1", "nested more than 1 deep", {.depth = 1});
}

TEST(Json, SizesAreBounded) {
  expect_refusal("[1,2,3]", "has 7 bytes", "at most 6", {.bytes = 6});
  expect_refusal("[1,2,3]", "byte", "more than 3 values", {.values = 3});
  EXPECT_EQ(refusal("[1,2,3]", {.bytes = 7, .values = 4}), "");
}

TEST(Json, NoChoiceOfKeysIsSlow) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += '"' + std::to_string(i * 7919LL % 100'000) + "\":0,";
  text.back() = '}';
  EXPECT_EQ(refusal(text), "");
  text.back() = ',';
  expect_refusal(text + "\"0\":0}", "byte", "twice");
}

}  // namespace
}  // namespace regard
