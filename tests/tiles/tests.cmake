regard_test(tiles/similarity LINKS tiles USES hwy)
regard_test(tiles/additive LINKS tiles USES hwy)
regard_test(tiles/threshold LINKS tiles)
regard_test(tiles/backward LINKS tiles)
