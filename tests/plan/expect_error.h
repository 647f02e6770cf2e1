// A call must throw Error(invalid_argument) whose one line holds a part.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "regard/error.h"

namespace regard::testing {

template <class Call>
void expect_error(const Call& call, const std::string& part) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one about: " << part;
  } catch (const Error& error) {
    const std::string line = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_NE(line.find(part), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  }
}

}  // namespace regard::testing
