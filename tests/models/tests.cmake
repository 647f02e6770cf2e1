regard_test(models/llama LINKS models)
