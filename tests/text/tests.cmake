regard_test(text/tokenizer LINKS text)
regard_test(text/stream_decoder LINKS text)
regard_test(text/json LINKS text)
target_compile_definitions(text_json_test PRIVATE
  REGARD_TEXT_GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/text/golden")
regard_test(text/plain_ranges LINKS text)

regard_test(text/words LINKS text)
target_compile_definitions(text_words_test PRIVATE
  REGARD_TEXT_GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/text/golden")

# For make_words.py: what the tokenizer makes of texts.
add_executable(tokenizer_lines ${CMAKE_CURRENT_SOURCE_DIR}/text/tokenizer_lines.cc)
target_link_libraries(tokenizer_lines PRIVATE regard_text fmt)

# Needs the model file that the environment variable REGARD_TEST_MODEL names, and fails without it.
regard_test(text/golden LINKS text formats NEEDS_MODEL)
target_compile_definitions(text_golden_test PRIVATE
  REGARD_TEXT_GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/text/golden")

# Not a test: make_json_goldens.py compares it with the `tokenizers` package.
add_executable(text_tokenize_lines text/tokenize_lines.cc)
target_link_libraries(text_tokenize_lines PRIVATE regard_text)
