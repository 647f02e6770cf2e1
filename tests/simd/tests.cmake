regard_test(simd/target LINKS simd)
