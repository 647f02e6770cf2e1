# web/dist/inspect.html goes into the program as bytes. It is kept built, so no Node is needed here.
set(page ${PROJECT_SOURCE_DIR}/web/dist/inspect.html)
set(embedded ${CMAKE_CURRENT_BINARY_DIR}/page_template.cc)
add_custom_command(
  OUTPUT ${embedded}
  COMMAND ${CMAKE_COMMAND} -DINPUT=${page} -DOUTPUT=${embedded}
          -DHEADER=inspect/page_template.h -DFUNCTION=regard::inspect::page_template
          -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${page} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  COMMENT "Embedding web/dist/inspect.html"
  VERBATIM)
target_sources(regard_inspect PRIVATE ${embedded})
