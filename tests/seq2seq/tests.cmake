regard_test(seq2seq/seq2seq LINKS seq2seq)
regard_test(seq2seq/golden LINKS seq2seq)
target_compile_definitions(seq2seq_golden_test
                           PRIVATE REGARD_GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/seq2seq/golden")
