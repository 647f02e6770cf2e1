regard_test(data/data LINKS data)
