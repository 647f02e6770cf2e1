regard_test(linear/linear_attention LINKS linear USES hwy)
regard_test(linear/backward LINKS linear USES hwy)
