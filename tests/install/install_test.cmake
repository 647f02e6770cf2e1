# Installs the build in BUILD into a folder of its own and builds and runs a program that knows
# only find_package(regard).   cmake -DBUILD=... -DSOURCE=... -DCXX=... -P install_test.cmake
set(work ${BUILD}/install_test)
file(REMOVE_RECURSE ${work})

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed (${status}):\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(install ${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix)
run(configure ${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/tests/install/consumer -B ${work}/consumer
    -DCMAKE_PREFIX_PATH=${work}/prefix -DCMAKE_CXX_COMPILER=${CXX})
run(build ${CMAKE_COMMAND} --build ${work}/consumer)
run(consumer ${work}/consumer/consumer)
if(NOT output STREQUAL "2 4\n2 4, 2.667 3.333\n")
  message(FATAL_ERROR "the consumer printed '${output}', not '2 4' and '2 4, 2.667 3.333'")
endif()

# Only the contract is installed: nothing of src/.
file(GLOB_RECURSE headers RELATIVE ${work}/prefix/include ${work}/prefix/include/*)
foreach(header IN LISTS headers)
  if(NOT header MATCHES "^regard/[a-z_0-9]+\\.h$")
    message(FATAL_ERROR "${header} is installed but is not a public header")
  endif()
endforeach()

# A version that this one does not satisfy is refused.
file(WRITE ${work}/newer/CMakeLists.txt
  "cmake_minimum_required(VERSION 3.22)\nproject(newer LANGUAGES NONE)\n"
  "find_package(regard 99 QUIET)\nif(regard_FOUND)\n  message(FATAL_ERROR \"accepted\")\nendif()\n")
run("refusing version 99" ${CMAKE_COMMAND} -G Ninja -S ${work}/newer -B ${work}/newer/build
    -DCMAKE_PREFIX_PATH=${work}/prefix)
