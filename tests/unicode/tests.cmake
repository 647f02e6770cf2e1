regard_test(unicode/utf8 LINKS unicode)
regard_test(unicode/normal_forms LINKS unicode USES utf8proc)
