regard_test(families/llama LINKS families)
