regard_test(reference/formula LINKS reference)
