regard_test(nn/block LINKS nn)
regard_test(nn/parts LINKS nn)
regard_test(nn/parameters LINKS nn)
regard_test(nn/transformer LINKS nn)
regard_test(nn/goldens LINKS nn formats)
target_compile_definitions(nn_goldens_test
  PRIVATE REGARD_GOLDENS="${CMAKE_CURRENT_SOURCE_DIR}/nn/data")
regard_test(nn/layers LINKS nn)
