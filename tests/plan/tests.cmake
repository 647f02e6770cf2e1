regard_test(plan/recipe LINKS plan reference)
