regard_test(expr/expr LINKS expr)
regard_test(expr/evaluate LINKS expr)
regard_test(expr/derivative LINKS expr)
