regard_test(plan/recipe LINKS plan reference)
regard_test(plan/sight LINKS plan reference)
regard_test(plan/explain LINKS plan reference)
