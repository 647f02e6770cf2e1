regard_test(reference/formula LINKS reference)
regard_test(reference/differences LINKS reference)
