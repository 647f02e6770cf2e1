regard_test(matmul/dequantise LINKS matmul)
regard_test(matmul/matmul LINKS matmul)
regard_test(matmul/product LINKS matmul)
