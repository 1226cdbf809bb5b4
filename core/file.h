// Files: read whole, mapped, or written so that a reader never sees half of one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace temper {

// The whole file. Throws UserError if it does not exist or cannot be read.
std::string read_file(const std::filesystem::path& path);

// What `path` names if it is a symbolic link, or a chain of them; else `path`. It need not exist.
std::filesystem::path behind_links(const std::filesystem::path& path);

// Writes to a temporary name beside `path`, syncs it and renames it over `path`; syncs the folder.
// A symbolic link stays and what it names is written. What is no regular file (a pipe, a device)
// is written to as it is. Throws SystemError; a file then still holds what it held.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

// Syncs every file of `temporary` and the folder, then renames the folder to `final_path`
// (which must not exist, or is replaced by way of a rename aside). Throws SystemError.
void commit_directory(const std::filesystem::path& temporary,
                      const std::filesystem::path& final_path);

// A read-only memory map of a whole file. Move-only. Throws UserError if it cannot be opened.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return data_; }
  size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
  std::filesystem::path path_;
};

}  // namespace temper
