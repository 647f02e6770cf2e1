// The normal forms against utf8proc's own, which does not say where a character came from.
#include "unicode/normal_forms.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "unicode/random_text.h"
#include "unicode/utf8.h"

namespace regard::unicode {
namespace {

std::string by_utf8proc(const std::string& text, NormalForm form) {
  const bool composed = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const int options = UTF8PROC_STABLE | (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                      (compatible ? UTF8PROC_COMPAT : 0);
  utf8proc_uint8_t* out = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &out,
                                   static_cast<utf8proc_option_t>(options));
  std::string mapped(reinterpret_cast<char*>(out), static_cast<size_t>(length));
  std::free(out);
  return mapped;
}

// Marks of several classes, letters that take them, jamo, characters whose parts are marks.
std::string joining_text(std::mt19937_64& random) {
  constexpr char32_t kJoining[] = {U'e',   U'A',   0x301,   0x327,   0x345,  0x323,  0x344,  0xE9,
                                   0x1E69, 0xAC00, 0x1100,  0x1161,  0x11A8, 0xFF8A, 0xFF9E, 0x302E,
                                   0xF71,  0xF72,  0x1D15F, 0x1D165, 0xFDFA, 0x2126};
  std::string text;
  for (size_t i = random() % 12; i > 0; --i)
    append_utf8(text, kJoining[random() % std::size(kJoining)]);
  return text;
}

TEST(NormalForms, AgreeWithUtf8proc) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 4000; ++i) {
    const std::string text = i % 2 == 0 ? joining_text(random) : random_text(random, 12);
    for (const NormalForm form :
         {NormalForm::nfd, NormalForm::nfkd, NormalForm::nfc, NormalForm::nfkc}) {
      std::vector<Edit> edits;
      append_normal_form(text, form, edits);
      std::string normal;
      int64_t read = 0;  // characters of the old text that the edits account for
      for (const Edit& edit : edits) {
        append_character(edit.character, normal);
        read += edit.change > 0 ? 0 : 1 - edit.change;
      }
      ASSERT_EQ(normal, by_utf8proc(text, form)) << text;
      int64_t characters = 0;
      for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
      ASSERT_EQ(read, characters) << text;
    }
  }
}

TEST(NormalForms, OfThePartsAreThoseOfTheWhole) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = joining_text(random) + random_text(random, 8) + joining_text(random);
    for (const NormalForm form : {NormalForm::nfkd, NormalForm::nfc}) {
      std::string normal;
      std::string_view left = text;
      while (!left.empty()) {
        const size_t inert = inert_prefix(left);
        normal += left.substr(0, inert);
        left.remove_prefix(inert);
        const size_t joined = joined_prefix(left);
        ASSERT_TRUE(inert + joined > 0);
        std::vector<Edit> edits;
        append_normal_form(left.substr(0, joined), form, edits);
        for (const Edit& edit : edits) append_character(edit.character, normal);
        left.remove_prefix(joined);
      }
      ASSERT_EQ(normal, by_utf8proc(text, form)) << text;
    }
  }
}

}  // namespace
}  // namespace regard::unicode
