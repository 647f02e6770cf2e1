regard_test(attention/oracle LINKS attention)
regard_test(attention/bits LINKS attention)
regard_test(attention/edges LINKS attention)
