regard_test(nn/block LINKS nn)
