// What a tokenizer.json makes of texts, for comparison with the `tokenizers` package.
//
//   tokenizer_lines TOKENIZER.json < TEXTS     a text a line, in hexadecimal digits
//
// For each: its ids, the range of each, and their text without and with control tokens in
// hexadecimal digits, apart by tabs.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "regard/error.h"
#include "regard/tokenizer.h"

namespace {

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string to_hex(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  for (const char c : bytes) {
    digits += kDigits[static_cast<unsigned char>(c) >> 4];
    digits += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return digits;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tokenizer_lines TOKENIZER.json < TEXTS\n");
    return 2;
  }
  try {
    std::ifstream file(argv[1], std::ios::binary);
    const std::string json((std::istreambuf_iterator<char>(file)), {});
    const auto tokenizer = regard::Tokenizer::from_json(json);
    for (std::string line; std::getline(std::cin, line);) {
      const regard::Encoding encoding = tokenizer.encode_with_ranges(from_hex(line));
      std::string ids, ranges;
      for (const int32_t id : encoding.ids) ids += std::to_string(id) + ' ';
      for (const regard::ByteRange& range : encoding.ranges)
        ranges += std::to_string(range.begin) + '-' + std::to_string(range.end) + ' ';
      std::printf("%s\t%s\t%s\t%s\n", ids.c_str(), ranges.c_str(),
                  to_hex(tokenizer.decode(encoding.ids)).c_str(),
                  to_hex(tokenizer.decode(encoding.ids, regard::ControlTokens::keep)).c_str());
    }
  } catch (const regard::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
