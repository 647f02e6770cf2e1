regard_test(tensor/tensor LINKS tensor)
regard_test(tensor/ops LINKS tensor)
