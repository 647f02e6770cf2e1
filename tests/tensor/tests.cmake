regard_test(tensor/tensor LINKS tensor)
regard_test(tensor/tape LINKS tensor)
