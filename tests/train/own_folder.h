// A folder for one test, which may run beside others: by its name and process, gone afterwards.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace regard::train {

struct Folder {
  std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) /
      (std::string("regard_train_") +
       testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() + "_" +
       testing::UnitTest::GetInstance()->current_test_info()->name() + std::to_string(getpid()));
  Folder() { std::filesystem::remove_all(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace regard::train
