// What a tokenizer.json makes of strings, for make_tokenizer_goldens.py to compare with the
// `tokenizers` package: tokenize_lines TOKENIZER.json < LINES > LINES. A line is a JSON string; its
// answer [ids, ranges flat, decoded without and with control tokens], the stream checked on the
// way.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include "regard/error.h"
#include "regard/tokenizer.h"

int main(int argc, char** argv) {
  using namespace regard;
  if (argc != 2) {
    std::fprintf(stderr, "usage: tokenize_lines TOKENIZER.json < LINES\n");
    return 2;
  }
  try {
    std::ifstream file(argv[1], std::ios::binary);
    const std::string json((std::istreambuf_iterator<char>(file)), {});
    const Tokenizer tokenizer = Tokenizer::from_json(json);
    for (std::string line; std::getline(std::cin, line);) {
      const auto text = nlohmann::json::parse(line).get<std::string>();
      const Encoding encoding = tokenizer.encode_with_ranges(text);
      std::vector<int64_t> ranges;
      for (const ByteRange& range : encoding.ranges)
        ranges.insert(ranges.end(), {range.begin, range.end});
      StreamDecoder stream(tokenizer);
      std::string streamed;
      for (const int32_t id : encoding.ids) streamed += stream.push(id);
      streamed += stream.finish();
      const std::string decoded = tokenizer.decode(encoding.ids);
      if (streamed != decoded || tokenizer.encode(text) != encoding.ids) {
        std::fprintf(stderr, "streamed or encoded otherwise: %s\n", line.c_str());
        return 1;
      }
      std::cout << nlohmann::json{encoding.ids, ranges, decoded,
                                  tokenizer.decode(encoding.ids, ControlTokens::keep)}
                       .dump()
                << '\n';
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
