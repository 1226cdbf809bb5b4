#include "core/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "core/error.h"

namespace temper {
namespace {

// Who holds the lock, as that process wrote it.
std::string holder(int fd) {
  std::array<char, 64> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  std::string line(text.data(), n > 0 ? static_cast<size_t>(n) : 0);
  return line.substr(0, line.find('\n'));
}

}  // namespace

bool is_locked(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return held;
}

FileLock::FileLock(const std::filesystem::path& path)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  if (fd_ < 0) throw_errno("cannot write " + path.string());
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    const std::string who = holder(fd_);
    ::close(std::exchange(fd_, -1));
    errno = why;
    if (why != EWOULDBLOCK) throw_errno("cannot lock " + path.string());
    throw UserError({.what = "another temper is at work in this folder",
                     .where = path.parent_path().string(),
                     .found = who,
                     .hint = "wait for its end or stop it, or give another --out"});
  }
  const std::string line = "process " + std::to_string(::getpid()) + "\n";
  const bool written = ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, line.data(), line.size(), 0) > 0;
  static_cast<void>(written);  // the name is for people: on a full disk the lock holds without it
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

}  // namespace temper
