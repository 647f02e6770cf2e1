// The template in the file of SmolLM2, over 200 conversations, as jinja2 renders it.
#include <cstdlib>

#include "formats/gguf.h"
#include "golden.h"

namespace regard {
namespace {

TEST(SmolLm2, RendersAsJinjaDoes) {
  const char* path = std::getenv("REGARD_TEST_MODEL");
  ASSERT_NE(path, nullptr) << "REGARD_TEST_MODEL must name the file of SmolLM2-135M-Instruct Q4_1";
  const GgufFile file = GgufFile::open(path);
  const ChatTemplate chat(file.get_string("tokenizer.chat_template"));
  const Json all = golden("smollm2.json");
  ASSERT_EQ(all["cases"].size(), 200u);
  for (const Json& one : all["cases"]) {
    EXPECT_EQ(chat.render_json(one["variables"].dump(), kNow).text, one["text"]);
  }
}

}  // namespace
}  // namespace regard
