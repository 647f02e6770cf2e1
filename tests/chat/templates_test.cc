// Twelve templates that together use what published ones use, over made-up conversations, as jinja2
// renders them.
#include "golden.h"

namespace regard {
namespace {

TEST(Templates, RenderAsJinjaDoes) {
  const Json all = golden("templates.json");
  EXPECT_EQ(all["templates"].size(), 12u);
  std::vector<std::string> conversations;
  for (const Json& one : all["conversations"]) conversations.push_back(one.dump());
  for (const auto& [name, texts] : all["templates"].items()) {
    const ChatTemplate chat(
        file_text(std::string(REGARD_CHAT_FOLDER) + "/templates/" + name + ".jinja"), name);
    ASSERT_EQ(texts.size(), conversations.size());
    for (std::size_t i = 0; i < conversations.size(); ++i) {
      SCOPED_TRACE(name + ", conversation " + std::to_string(i));
      const auto wanted = wanted_text(texts[i]);
      if (wanted) {
        EXPECT_EQ(chat.render_json(conversations[i], kNow).text, *wanted);
      } else {
        const std::string message = error_of(
            ErrorKind::invalid_argument, [&] { (void)chat.render_json(conversations[i], kNow); });
        EXPECT_TRUE(message.starts_with(name + ", line ")) << message;
      }
    }
  }
}

TEST(Templates, MessagesAreWhatTheirJsonIs) {
  const Json all = golden("templates.json");
  for (const char* name : {"chatml", "qwen", "llama2", "gemma"}) {
    const ChatTemplate chat(
        file_text(std::string(REGARD_CHAT_FOLDER) + "/templates/" + name + ".jinja"));
    const std::vector<Message> messages = {{"system", "Be kind."},
                                           {"user", "One \xE2\x82\xAC?"},
                                           {"assistant", "Yes."},
                                           {"user", " two "}};
    Json list = Json::array();
    for (const Message& one : messages) {
      list.push_back({{"role", one.role}, {"content", one.content}});
    }
    const Json variables = {{"messages", list},     {"tools", nullptr},
                            {"documents", nullptr}, {"add_generation_prompt", true},
                            {"bos_token", "<s>"},   {"eos_token", "</s>"}};
    const RenderedChat by_json = chat.render_json(variables.dump(), kNow);
    const RenderedChat plain =
        chat.render(messages, {.bos_token = "<s>", .eos_token = "</s>", .now = kNow});
    EXPECT_EQ(plain.text, by_json.text) << name;
    EXPECT_EQ(plain.user, by_json.user) << name;
    EXPECT_NE(plain.text.find("two"), std::string::npos);
  }
}

TEST(Templates, FurtherVariablesOverrule) {
  const ChatTemplate chat(
      "{{ bos_token }}{{ tools|length }}{{ extra }}{{ add_generation_prompt }}");
  const std::vector<Message> none;
  EXPECT_EQ(chat.render(none, {.add_generation_prompt = false,
                               .bos_token = "<s>",
                               .variables = R"({"tools": [1, 2], "extra": "x"})"})
                .text,
            "<s>2xFalse");
}

TEST(Templates, CopiesShareOneTree) {
  const ChatTemplate chat("{{ messages[0].content }}");
  const ChatTemplate copy = chat;
  const std::vector<Message> messages = {{"user", "hi"}};
  EXPECT_EQ(copy.render(messages).text, "hi");
  EXPECT_EQ(copy.source(), chat.source());
}

}  // namespace
}  // namespace regard
