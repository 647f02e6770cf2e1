foreach(test IN ITEMS program numbers gather)
  regard_test(interpreter/${test} LINKS interpreter kernels USES hwy)
  target_sources(interpreter_${test}_test PRIVATE interpreter/plain_sigmoid.cc)
endforeach()
