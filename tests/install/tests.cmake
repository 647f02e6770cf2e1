add_test(NAME install.consumer
         COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR} -DSOURCE=${PROJECT_SOURCE_DIR}
                 -DCXX=${CMAKE_CXX_COMPILER}
                 -P ${PROJECT_SOURCE_DIR}/tests/install/install_test.cmake)
set_tests_properties(install.consumer PROPERTIES LABELS house TIMEOUT 300)
