# What a consumer gets: the headers of include/regard, one static library a room, and a package
# that names them regard::regard. Libraries outside regard are linked by name (-lfmt, -lhwy, ...),
# so a consumer needs Debian's packages of them and no package files.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The rooms as one target. The name `regard` belongs to the command line's program,
# so the target itself is not called `regard`.
get_property(rooms GLOBAL PROPERTY REGARD_ROOMS)
list(TRANSFORM rooms PREPEND regard_ OUTPUT_VARIABLE room_targets)
add_library(regard_library INTERFACE)
add_library(regard::regard ALIAS regard_library)
set_target_properties(regard_library PROPERTIES EXPORT_NAME regard)
target_link_libraries(regard_library INTERFACE ${room_targets})

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/regard)
install(TARGETS regard_library ${room_targets} EXPORT regard_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT regard_targets NAMESPACE regard:: FILE regard-targets.cmake
        DESTINATION ${package_dir})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/regard DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

# The same package for the build tree itself: REGARD_BUILT finds it there.
export(EXPORT regard_targets NAMESPACE regard:: FILE ${PROJECT_BINARY_DIR}/regard-targets.cmake)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/regard-config.cmake.in
  ${PROJECT_BINARY_DIR}/regard-config.cmake INSTALL_DESTINATION ${package_dir})
# Below 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/regard-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/regard-config.cmake
              ${PROJECT_BINARY_DIR}/regard-config-version.cmake DESTINATION ${package_dir})
