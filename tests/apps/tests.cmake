# The command line, driven as a person drives it; needs nothing but Python's standard library.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# regard_command_test(FOLDER/NAME [NEEDS_MODEL]): tests/FOLDER/NAME_test.py on the built binary.
function(regard_command_test path)
  cmake_parse_arguments(test "NEEDS_MODEL" "" "" ${ARGN})
  add_test(NAME ${path} COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/${path}_test.py)
  set(label ${path})
  if(test_NEEDS_MODEL)
    string(APPEND label "+needs-model")
  endif()
  set_tests_properties(${path} PROPERTIES
    TIMEOUT 1200 LABELS ${label}
    ENVIRONMENT "REGARD_BINARY=$<TARGET_FILE:regard_cli>;PYTHONDONTWRITEBYTECODE=1")
endfunction()

if(TARGET regard_cli)
  regard_command_test(apps/parsing)
  regard_command_test(apps/pull)
  regard_command_test(apps/checkpoint)
  regard_command_test(apps/convert)
  regard_command_test(apps/lab)
  regard_command_test(apps/hostile_model)
  regard_command_test(apps/model NEEDS_MODEL)
  regard_command_test(apps/chat NEEDS_MODEL)
  regard_command_test(apps/embed NEEDS_MODEL)
  regard_command_test(apps/bad_input NEEDS_MODEL)
endif()
