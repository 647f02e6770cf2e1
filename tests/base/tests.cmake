regard_test(base/base LINKS base)
