regard_test(formats/gguf LINKS formats)
regard_test(formats/gguf_errors LINKS formats)
regard_test(formats/gguf_hostile LINKS formats)
regard_test(formats/hf_config LINKS formats)
regard_test(formats/safetensors LINKS formats)
regard_test(formats/safetensors_hostile LINKS formats)
regard_test(formats/gguf_split LINKS formats)
regard_test(formats/describe LINKS formats)
regard_test(formats/smollm2_hostile LINKS formats NEEDS_MODEL)

# Where no fuzzer is built, the fuzz targets' corpora are replayed as tests.
if(NOT REGARD_FUZZ)
  add_subdirectory(${PROJECT_SOURCE_DIR}/fuzz ${PROJECT_BINARY_DIR}/fuzz)
endif()
