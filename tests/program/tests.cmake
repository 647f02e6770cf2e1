regard_test(program/bounds LINKS program USES rapidcheck)
regard_test(program/lower LINKS program USES rapidcheck)
regard_test(program/gradient LINKS program)
regard_test(program/noise LINKS program)
