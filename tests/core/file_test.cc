#include "core/file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <future>

#include "core/error.h"
#include "core/temporary_folder.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
namespace fs = std::filesystem;

TEST_CASE("files: an atomic write replaces a regular file and leaves nothing beside it") {
  const TemporaryFolder dir;
  write_file_atomically(dir / "a", "one");
  write_file_atomically(dir / "a", "two");
  CHECK(read_file(dir / "a") == "two");
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
  CHECK_THROWS_AS(write_file_atomically(dir / "absent/a", "x"), SystemError);
}

TEST_CASE("files: what cannot be written whole leaves the file as it was, and nothing beside it") {
  const TemporaryFolder dir;
  write_file_atomically(dir / "a", "one");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  CHECK_THROWS_WITH(write_file_atomically(dir / "a", std::string(1000, 'x')),
                    Contains("free some space"));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(read_file(dir / "a") == "one");
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE(
    "files: a temporary folder is new, empty and this user's; where none can be made is said") {
  const fs::path a = make_temporary_folder("temper-test"), b = make_temporary_folder("temper-test");
  CHECK(a != b);
  CHECK(fs::is_empty(a));
  CHECK(fs::status(a).permissions() == fs::perms::owner_all);
  CHECK(a.filename().string().rfind("temper-test-", 0) == 0);
  fs::remove(a), fs::remove(b);
  CHECK_THROWS_WITH(make_temporary_folder("no/such"), Contains("cannot make a folder in"));
}

TEST_CASE("files: a link stays, and what it names is written") {
  const TemporaryFolder dir;
  fs::create_directories(dir / "far");
  dir.write("far/target", "old");
  fs::create_symlink("far/target", dir / "link");
  fs::create_symlink(dir / "link", dir / "chain");
  fs::create_symlink("far/new", dir / "dangling");
  fs::create_symlink("circle", dir / "circle");
  write_file_atomically(dir / "link", "first");
  CHECK(read_file(dir / "far/target") == "first");
  write_file_atomically(dir / "chain", "second");
  CHECK(read_file(dir / "far/target") == "second");
  write_file_atomically(dir / "dangling", "third");
  CHECK(read_file(dir / "far/new") == "third");
  for (const char* name : {"link", "chain", "dangling"})
    CHECK(fs::is_symlink(fs::symlink_status(dir / name)));
  CHECK_THROWS(write_file_atomically(dir / "circle", "x"));
}

TEST_CASE("files: a pipe is written to, not replaced") {
  const TemporaryFolder dir;
  const fs::path pipe = dir / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const std::string content(200000, 'x');  // more than a pipe holds
  auto got = std::async(std::launch::async, [&] { return read_file(pipe); });
  write_file_atomically(pipe, content);
  CHECK(fs::is_fifo(pipe));
  if (fs::is_fifo(pipe)) CHECK(got.get() == content);
  CHECK_FALSE(fs::exists(dir / "pipe.tmp"));
  // A link that names no path, as /dev/stdout may be.
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  write_file_atomically("/proc/self/fd/" + std::to_string(ends[1]), "three");
  char text[8] = {};
  CHECK(::read(ends[0], text, sizeof text) == 5);
  CHECK(std::string(text) == "three");
  ::close(ends[0]), ::close(ends[1]);
  // Not /dev/null itself: a test that fails must not cost the machine its null device.
  fs::create_symlink("/dev/null", dir / "null");
  write_file_atomically(dir / "null", "four");
  CHECK(fs::is_symlink(dir / "null"));
  CHECK(fs::is_character_file("/dev/null"));
}
