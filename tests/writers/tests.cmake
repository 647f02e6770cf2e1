regard_test(writers/encode LINKS writers)
target_compile_definitions(writers_encode_test PRIVATE
  GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/writers/golden/blocks.bin")
regard_test(writers/atomic_file LINKS writers)
regard_test(writers/writers LINKS writers)
