regard_test(split/scanners LINKS split USES utf8proc)
