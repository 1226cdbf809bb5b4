#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "core/error.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// Closes a file descriptor at scope exit.
struct Descriptor {
  int fd;
  explicit Descriptor(int opened) : fd(opened) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

void sync_path(const fs::path& path, int flags) {
  Descriptor file(::open(path.c_str(), flags | O_CLOEXEC));
  if (file.fd < 0 || ::fsync(file.fd) != 0) throw_errno("cannot sync " + path.string());
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// Whether a file of this name may be put in its place: not of a device or a pipe, such as
// /dev/null or /dev/stdout, which is written to as it is.
bool is_replaceable(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  return !fs::exists(status) || fs::is_regular_file(status) || fs::is_directory(status);
}

void write_all(int fd, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0) throw_errno("cannot write " + path.string());
    content.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || fs::is_directory(path))
    throw UserError({.what = "cannot read the file",
                     .where = path.string(),
                     .hint = "check the path and its permissions"});
  std::ostringstream content;
  content << in.rdbuf();
  return std::move(content).str();
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  if (!is_replaceable(path)) {
    Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.fd < 0) throw_errno("cannot write " + path.string());
    write_all(file.fd, content, path);
    return;
  }
  const fs::path temporary = path.string() + ".tmp";
  {
    Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.fd < 0) throw_errno("cannot write " + temporary.string());
    write_all(file.fd, content, temporary);
    if (::fsync(file.fd) != 0) throw_errno("cannot sync " + temporary.string());
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    throw_errno("cannot rename to " + path.string());
  sync_path(parent_of(path), O_RDONLY | O_DIRECTORY);
}

void commit_directory(const fs::path& temporary, const fs::path& final_path) {
  for (const auto& entry : fs::directory_iterator(temporary))
    if (entry.is_regular_file()) sync_path(entry.path(), O_RDONLY);
  sync_path(temporary, O_RDONLY | O_DIRECTORY);
  fs::path aside;
  if (fs::exists(final_path)) {
    aside = final_path.string() + ".old";
    fs::remove_all(aside);
    if (::rename(final_path.c_str(), aside.c_str()) != 0)
      throw_errno("cannot move aside " + final_path.string());
  }
  if (::rename(temporary.c_str(), final_path.c_str()) != 0)
    throw_errno("cannot rename to " + final_path.string());
  sync_path(parent_of(final_path), O_RDONLY | O_DIRECTORY);
  if (!aside.empty()) fs::remove_all(aside);
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode))
    throw UserError({.what = "cannot open the file",
                     .where = path.string(),
                     .hint = "check the path and its permissions"});
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (mapped == MAP_FAILED) throw_errno("cannot map " + path.string());
  data_ = static_cast<const char*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept {
  *this = std::move(other);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

}  // namespace temper
