regard_test(kernels/math LINKS kernels USES hwy)
regard_test(kernels/elementwise LINKS kernels)
regard_test(kernels/ceiling LINKS kernels)
regard_test(kernels/gradients LINKS kernels)
