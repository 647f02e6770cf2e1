#include "inspect/page.h"

#include <gtest/gtest.h>

#include <limits>

#include <nlohmann/json.hpp>

#include "inspect/page_template.h"

namespace regard::inspect {
namespace {

TEST(JsonString, EscapesWhatJsonAndHtmlMean) {
  EXPECT_EQ(json_string(" it"), "\" it\"");
  EXPECT_EQ(json_string("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_string("\n\t\x01"), R"("\u000a\u0009\u0001")");
  EXPECT_EQ(json_string("</script><!--"), R"("\u003c/script>\u003c!--")");
  EXPECT_EQ(json_string("tröphy 🏆"), "\"tröphy 🏆\"");
}

TEST(JsonString, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(json_string("a\xE2\x28"), "\"a\xEF\xBF\xBD(\"");
  EXPECT_EQ(json_string("a\xF0\x9F\x8F"), "\"a\xEF\xBF\xBD\"");
}

TEST(JsonString, IsReadBackAsItWas) {
  for (int letter = 0; letter < 128; ++letter) {
    const std::string text = std::string("x") + static_cast<char>(letter) + "y";
    EXPECT_EQ(nlohmann::json::parse(json_string(text)).get<std::string>(), text) << letter;
  }
}

TEST(Base64, IsThatOfTheRfc) {
  EXPECT_EQ(base64({}), "");
  EXPECT_EQ(base64(std::vector<float>{1.0f}), "AACAPw==");             // 00 00 80 3f
  EXPECT_EQ(base64(std::vector<float>{1.0f, -2.5f}), "AACAPwAAIMA=");  // .. 00 00 20 c0
  EXPECT_EQ(base64(std::vector<float>{1.0f, -2.5f, 0.0f}), "AACAPwAAIMAAAAAA");
  EXPECT_EQ(base64(std::vector<float>{-std::numeric_limits<float>::infinity()}), "AACA/w==");
}

TEST(KeptRows, KeepsAsMuchAsFits) {
  constexpr int64_t kMegabytes48 = int64_t{48} << 20;
  // SmolLM2 has 30 layers of 9 heads: 8 bytes for each cell below the diagonal.
  EXPECT_EQ(kept_rows(30, 9, 1, kMegabytes48), Kept::all);
  EXPECT_EQ(kept_rows(30, 9, 14, kMegabytes48), Kept::all);
  EXPECT_EQ(kept_rows(30, 9, 215, kMegabytes48), Kept::all);   // 270 · 23220 · 8 = 50155200
  EXPECT_EQ(kept_rows(30, 9, 216, kMegabytes48), Kept::head);  // 270 · 23436 · 8 = 50621760
  EXPECT_EQ(kept_rows(30, 9, 3000, kMegabytes48), Kept::head);
  EXPECT_EQ(kept_rows(30, 9, 4000, kMegabytes48), Kept::row);
  EXPECT_EQ(kept_rows(1, 1, 10, 55 * 8), Kept::all);
  EXPECT_EQ(kept_rows(1, 1, 10, 55 * 8 - 1), Kept::row);
}

TEST(PageTemplate, HoldsItsMarkOnceAndNothingFromOutside) {
  const std::string page(page_template());
  const std::size_t mark = page.find("\"REGARD_DATA\"");
  ASSERT_NE(mark, std::string::npos);
  EXPECT_EQ(page.find("\"REGARD_DATA\"", mark + 1), std::string::npos);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(page.find("not a causal explanation."), std::string::npos);
  EXPECT_EQ(page.find("innerHTML"), std::string::npos);
  for (const char* outside : {"http://", "https://", " src=", " href="}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
}

}  // namespace
}  // namespace regard::inspect
