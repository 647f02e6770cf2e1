regard_test(ops/ops LINKS ops)
regard_test(ops/gradient_check LINKS tensor)
