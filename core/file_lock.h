// One process at a time in a folder.
#pragma once

#include <filesystem>

namespace temper {

// The lock of a run directory.
constexpr const char* kLockFile = "run.lock";

// Whether a process holds the lock on the file; false also where it is absent or out of reach.
bool is_locked(const std::filesystem::path& path);

// Holds an exclusive lock on a file, which is made if it is absent, from construction to
// destruction. The kernel frees it when the process ends, however it ends. Move-only.
class FileLock {
 public:
  // Throws UserError if another process holds the lock, naming that process; SystemError.
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace temper
