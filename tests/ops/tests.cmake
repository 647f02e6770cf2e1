regard_test(ops/ops LINKS ops)
