# regard_room(NAME LINKS rooms... USES libraries...): one room of src/ is one static library.
# LINKS names the rooms to its left; USES names system libraries, private to the room.
# Sources are all *.cc of the folder: a file belongs to the room it lies in.
function(regard_room name)
  cmake_parse_arguments(room "" "" "LINKS;USES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  if(NOT sources)
    return()  # a room is built from the day it has content
  endif()
  add_library(regard_${name} STATIC ${sources})
  add_library(regard::${name} ALIAS regard_${name})
  set_target_properties(regard_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_compile_features(regard_${name} PUBLIC cxx_std_20)
  target_compile_options(regard_${name} PRIVATE -Wall -Wextra -Wshadow -ffp-contract=off)
  # Kernels are one function for each of many shapes: what costs minutes to compile is left out.
  if("hwy" IN_LIST room_USES)
    target_compile_options(regard_${name} PRIVATE ${REGARD_KERNEL_FLAGS})
  endif()
  target_include_directories(regard_${name}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
           $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
  foreach(left IN LISTS room_LINKS)
    target_link_libraries(regard_${name} PUBLIC regard_${left})
  endforeach()
  target_link_libraries(regard_${name} PRIVATE ${room_USES})
  set_property(GLOBAL APPEND PROPERTY REGARD_ROOMS ${name})
endfunction()
