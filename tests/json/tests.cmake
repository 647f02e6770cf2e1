regard_test(json/json LINKS json)
