// Continues a sentence, printing whole characters as they come: generate [MODEL] [PROMPT]
#include <iostream>

#include "regard/regard.h"

int main(int argc, char** argv) try {
  auto model = regard::Model::load(argc > 1 ? argv[1] : "smollm2");
  model.generate(argc > 2 ? argv[2] : "The trophy", {.tokens = 64},
                 [](std::string_view piece) { std::cout << piece << std::flush; });
  std::cout << '\n';
} catch (const regard::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
