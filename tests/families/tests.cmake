regard_test(families/llama LINKS families)
regard_test(families/roundtrip LINKS families)
target_compile_definitions(families_roundtrip_test
  PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
