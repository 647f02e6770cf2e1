// A file appears whole or not at all: whatever goes wrong, the old one stays and nothing is left.
#include "writers/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include "regard/error.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

class AtomicFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) /
        (std::string("atomic-") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::ofstream(folder_ / "file") << "old";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string content() const {
    std::ifstream file(folder_ / "file", std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  }
  std::ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }

  fs::path folder_;
};

TEST_F(AtomicFiles, TakesTheNameAtTheEnd) {
  AtomicFile file(folder_ / "file");
  std::string big(3 << 20, 'b');
  file.write("a");
  file.write(big);
  file.write_zeros(5000);
  EXPECT_EQ(content(), "old");
  file.commit();
  EXPECT_EQ(file.written(), 1 + big.size() + 5000);
  EXPECT_EQ(content(), "a" + big + std::string(5000, '\0'));
  EXPECT_EQ(files(), 1);
  struct stat facts {};
  ASSERT_EQ(stat((folder_ / "file").c_str(), &facts), 0);
  const mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(facts.st_mode & 0777, 0666 & ~mask);
}

TEST_F(AtomicFiles, ThatIsNotFinishedLeavesNothing) {
  {
    AtomicFile file(folder_ / "file");
    file.write(std::string(3 << 20, 'b'));
    EXPECT_EQ(files(), 2);
  }
  EXPECT_EQ(files(), 1);
  EXPECT_EQ(content(), "old");
}

TEST_F(AtomicFiles, ThatFindsNoRoomLeavesTheOldOne) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 2 << 20;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  try {
    AtomicFile file(folder_ / "file");
    file.write(std::string(3 << 20, 'b'));
    file.commit();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::failed);
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(message, (folder_ / "file").string() + ": cannot be written: File too large");
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFiles, PlacesThatCannotBe) {
  EXPECT_THROW(AtomicFile{folder_}, Error);                  // a folder
  EXPECT_THROW(AtomicFile{folder_ / "no" / "file"}, Error);  // no folder
  EXPECT_THROW(AtomicFile{folder_ / "file" / "x"}, Error);   // a file in place of a folder
  EXPECT_EQ(files(), 1);
}

}  // namespace
}  // namespace regard
