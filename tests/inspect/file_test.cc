#include "inspect/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "regard/error.h"

namespace regard::inspect {
namespace {

namespace fs = std::filesystem;

class WriteWhole : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("regard-file-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }
  // The message of the error that writing must give.
  static std::string refusal(const std::string& path, std::string_view bytes) {
    try {
      write_whole(path, bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::failed);
      return error.what();
    }
    ADD_FAILURE() << "written to " << path;
    return "";
  }

  fs::path folder_;
};

TEST_F(WriteWhole, WritesAndReplaces) {
  const std::string name = path("page.html");
  write_whole(name, "first");
  EXPECT_EQ(read(name), "first");
  ::chmod(name.c_str(), 0640);
  const std::string second("se\0cond", 7);
  write_whole(name, second);
  EXPECT_EQ(read(name), second);
  EXPECT_EQ(fs::status(name).permissions(), fs::perms(0640));
  EXPECT_EQ(files(), 1);
}

TEST_F(WriteWhole, NewFilesHaveTheUsersMode) {
  const mode_t before = ::umask(027);
  write_whole(path("page.html"), "x");
  ::umask(before);
  EXPECT_EQ(fs::status(path("page.html")).permissions(), fs::perms(0640));
}

TEST_F(WriteWhole, FollowsALink) {
  write_whole(path("real.html"), "old");
  fs::create_symlink("real.html", path("link.html"));
  write_whole(path("link.html"), "new");
  EXPECT_TRUE(fs::is_symlink(path("link.html")));
  EXPECT_EQ(read(path("real.html")), "new");
}

TEST_F(WriteWhole, LeavesEverythingAsItWasWhenTheDiskIsFull) {
  const std::string name = path("page.html");
  write_whole(name, "old");
  // A limit on the size of files stands for a full disk: the same call fails, part way through.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{65536, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = refusal(name, std::string(200000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find(name), std::string::npos) << message;
  EXPECT_NE(message.find("after 65536 of 200000 bytes"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(read(name), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(WriteWhole, SaysWhyADeviceTakesNoMore) {
  const std::string message = refusal("/dev/full", "page");
  EXPECT_NE(message.find("/dev/full"), std::string::npos) << message;
  EXPECT_NE(message.find("0 of 4 bytes"), std::string::npos) << message;
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(WriteWhole, RefusesAFolder) {
  EXPECT_NE(refusal(folder_, "page").find("is a directory"), std::string::npos);
  EXPECT_NE(refusal(path("missing/page.html"), "page").find("missing/page.html"),
            std::string::npos);
  EXPECT_EQ(files(), 0);
}

}  // namespace
}  // namespace regard::inspect
