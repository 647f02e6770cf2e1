regard_test(learning/losses LINKS learning)
regard_test(learning/learning LINKS learning)
