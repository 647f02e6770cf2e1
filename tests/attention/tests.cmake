regard_test(attention/oracle LINKS attention)
regard_test(attention/bits LINKS attention)
regard_test(attention/edges LINKS attention)
regard_test(attention/backward LINKS attention)
