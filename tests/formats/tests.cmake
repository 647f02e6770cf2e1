regard_test(formats/gguf LINKS formats)
regard_test(formats/gguf_errors LINKS formats)
regard_test(formats/gguf_hostile LINKS formats)
regard_test(formats/describe LINKS formats)

# Needs the real model: REGARD_TEST_MODEL names it, and without it the test fails.
add_executable(formats_smollm2_hostile_test formats/smollm2_hostile_test.cc)
target_compile_options(formats_smollm2_hostile_test PRIVATE -Wall -Wextra)
target_link_libraries(formats_smollm2_hostile_test PRIVATE regard_formats fmt GTest::gtest_main)
add_test(NAME formats/smollm2_hostile COMMAND formats_smollm2_hostile_test)
set_tests_properties(formats/smollm2_hostile PROPERTIES TIMEOUT 600 LABELS needs-model)

# Where no fuzzer is built, the fuzz targets' corpora are replayed as tests.
if(NOT REGARD_FUZZ)
  add_subdirectory(${PROJECT_SOURCE_DIR}/fuzz ${PROJECT_BINARY_DIR}/fuzz)
endif()
