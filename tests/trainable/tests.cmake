regard_test(trainable/trainable LINKS trainable runtime)
