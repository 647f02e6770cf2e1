regard_test(pieces/pieces LINKS pieces)
