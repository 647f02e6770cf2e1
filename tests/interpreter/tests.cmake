regard_test(interpreter/program LINKS interpreter kernels USES hwy)
