regard_test(gradient/memory LINKS gradient reference)
