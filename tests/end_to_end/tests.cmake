regard_test(end_to_end/convert LINKS runtime convert)
regard_test(end_to_end/folder LINKS runtime convert)
regard_test(end_to_end/gemma3 LINKS runtime convert)
foreach(name convert folder gemma3)
  target_compile_definitions(end_to_end_${name}_test
    PRIVATE REGARD_REFERENCE_CASES="${CMAKE_CURRENT_SOURCE_DIR}/models/data")
endforeach()

# The whole way, from a command line to bits. regard_command_test comes from ../apps.
if(TARGET regard_cli)
  regard_command_test(end_to_end/bits NEEDS_MODEL)
endif()
