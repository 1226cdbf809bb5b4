// Bytes as a file for parsers that want a path.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace temper::test {

// A file of this name in a folder of the process's own in memory (/dev/shm), removed at scope exit.
class MemoryFile {
 public:
  MemoryFile(const std::string& name, std::string_view bytes)
      : path_(std::filesystem::path("/dev/shm") / ("temper-fuzz-" + std::to_string(::getpid())) /
              name) {
    std::filesystem::create_directories(path_.parent_path());
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~MemoryFile() {
    std::error_code ignored;
    std::filesystem::remove_all(path_.parent_path(), ignored);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace temper::test
