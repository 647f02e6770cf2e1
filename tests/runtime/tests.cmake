regard_test(runtime/pages LINKS runtime)
regard_test(runtime/sampler LINKS runtime)
regard_test(runtime/stop_strings LINKS runtime)
regard_test(runtime/batch LINKS runtime)
regard_test(runtime/generate LINKS runtime)
regard_test(runtime/conversation LINKS runtime)
regard_test(runtime/bits LINKS runtime)
regard_test(runtime/allocation LINKS runtime)
target_compile_definitions(runtime_allocation_test
  PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
regard_test(runtime/golden LINKS runtime NEEDS_MODEL)
target_compile_definitions(runtime_golden_test
  PRIVATE REGARD_GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/runtime/golden/smollm2.json")
regard_test(runtime/families LINKS runtime)
target_compile_definitions(runtime_families_test
  PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
regard_test(runtime/odd_addresses LINKS runtime)
target_compile_definitions(runtime_odd_addresses_test
  PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
regard_test(runtime/encoder LINKS runtime)
target_compile_definitions(runtime_encoder_test
  PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
regard_test(runtime/encoder_gguf LINKS runtime writers)
target_compile_definitions(runtime_encoder_gguf_test
  PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
regard_test(runtime/longrope LINKS runtime)
target_compile_definitions(runtime_longrope_test
  PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
regard_test(runtime/minilm_golden LINKS runtime NEEDS_MODEL)
target_compile_definitions(runtime_minilm_golden_test
  PRIVATE REGARD_GOLDEN="${CMAKE_CURRENT_SOURCE_DIR}/runtime/golden/minilm.json")
