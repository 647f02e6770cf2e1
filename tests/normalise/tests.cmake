regard_test(normalise/normaliser LINKS normalise)
regard_test(normalise/charsmap LINKS normalise)
