regard_test(unicode/utf8 LINKS unicode)
