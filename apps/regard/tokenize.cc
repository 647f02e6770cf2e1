// regard tokenize: a text as token ids, or ids as text.
#include <fmt/format.h>

#include "base/check.h"
#include "json.h"
#include "request.h"
#include "text_files/tokenizers.h"
#include "verbs.h"

namespace regard::app {

int tokenize(const Arguments& arguments) {
  CommandLine line("tokenize", "Shows a text as token ids, or with --ids what ids stand for.",
                   "regard tokenize -p \"The trophy did not fit\"");
  std::string model = "smollm2";
  PromptFlags prompt_flags;
  bool json = false;
  line.text("-m,--model", model, "a GGUF file, a folder, a tokenizer.json, or a pulled model",
            "PATH|NAME [smollm2]");
  add_prompt_flags(line, prompt_flags, Prompts::one);
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;

  const Request request = read_request(line, prompt_flags);
  // The weights stay on the disk.
  const Tokenizer tokenizer = open_tokenizer(find_model(model));
  const bool decode = request.texts.empty();
  const std::vector<TokenId> ids = decode ? request.ids : tokenizer.encode(request.texts.at(0));
  std::vector<std::string> tokens;
  for (const TokenId id : ids) tokens.push_back(tokenizer.display(id));
  if (json) {
    print_json({{"ids", ids}, {"tokens", tokens}});
  } else if (decode) {
    print(tokenizer.decode(ids, ControlTokens::keep) + "\n");
  } else {
    for (size_t i = 0; i < ids.size(); ++i) {
      print(fmt::format("{:>8}  {}\n", ids[i], json_text(tokens[i])));
    }
  }
  return kOk;
}

}  // namespace regard::app
