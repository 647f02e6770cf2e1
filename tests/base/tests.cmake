regard_test(base/edit_distance LINKS base)
regard_test(base/base LINKS base)
regard_test(base/random LINKS base)
