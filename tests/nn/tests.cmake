regard_test(nn/block LINKS nn)
regard_test(nn/parts LINKS nn)
regard_test(nn/parameters LINKS nn)
regard_test(nn/transformer LINKS nn)
