regard_test(recurrent/recurrent LINKS recurrent)
regard_test(recurrent/alignment LINKS recurrent)
