regard_test(ops/linear LINKS ops)
regard_test(ops/ops LINKS ops)
regard_test(ops/gradient_check LINKS tensor)
regard_test(ops/attention LINKS ops)
