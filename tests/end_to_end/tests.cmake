# The whole way, from a command line to bits. regard_command_test comes from ../apps.
if(TARGET regard_cli)
  regard_command_test(end_to_end/bits NEEDS_MODEL)
endif()
