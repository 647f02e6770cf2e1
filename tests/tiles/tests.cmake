regard_test(tiles/program LINKS tiles kernels USES hwy)
