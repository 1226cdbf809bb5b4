#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/catch.h"
#include "tests/support/run_binary.h"

namespace temper {

TEST_CASE("file: a file is put in the place of one, a pipe or device is written to as it is") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "file";
  write_file_atomically(file, "one");
  write_file_atomically(file, "two");
  CHECK(read_file(file) == "two");

  const auto pipe = folder.path() / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  write_file_atomically(pipe, "three");
  char text[8] = {};
  CHECK(read(reader, text, sizeof text) == 5);
  CHECK(std::string(text) == "three");
  CHECK(std::filesystem::is_fifo(pipe));
  close(reader);

  // Not /dev/null itself: a test that fails must not cost the machine its null device.
  const auto link = folder.path() / "null";
  std::filesystem::create_symlink("/dev/null", link);
  write_file_atomically(link, "four");
  CHECK(std::filesystem::is_symlink(link));
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

}  // namespace temper
