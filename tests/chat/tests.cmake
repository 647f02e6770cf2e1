regard_test(chat/expressions LINKS chat)
regard_test(chat/templates LINKS chat)
regard_test(chat/user_text LINKS chat)
regard_test(chat/hostile LINKS chat)
regard_test(chat/smollm2 LINKS chat formats NEEDS_MODEL)
foreach(test expressions templates user_text hostile smollm2)
  target_compile_definitions(chat_${test}_test
    PRIVATE REGARD_CHAT_FOLDER="${CMAKE_CURRENT_SOURCE_DIR}/chat")
endforeach()
