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

void write_all(const fs::path& path, int flags, std::string_view content, bool sync) {
  Descriptor file(::open(path.c_str(), flags, 0644));
  if (file.fd < 0) throw_errno("cannot write " + path.string());
  for (size_t written = 0; written < content.size();) {
    const ssize_t n = ::write(file.fd, content.data() + written, content.size() - written);
    if (n < 0) throw_errno("cannot write " + path.string());
    written += static_cast<size_t>(n);
  }
  if (sync && ::fsync(file.fd) != 0) throw_errno("cannot sync " + path.string());
}

}  // namespace

fs::path behind_links(const fs::path& path) {
  fs::path at = path;
  constexpr int kMost = 40;  // as many as the kernel follows
  for (int i = 0; i < kMost && fs::is_symlink(fs::symlink_status(at)); ++i) {
    const fs::path target = fs::read_symlink(at);
    at = target.is_absolute() ? target : parent_of(at) / target;
  }
  return at;
}

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

void write_file_atomically(const fs::path& to, std::string_view content) {
  const fs::file_status status = fs::status(to);  // behind links, also those that name no path:
  if (fs::exists(status) && !fs::is_regular_file(status)) {  // /dev/stdout leads to pipe:[7]
    write_all(to, O_WRONLY | O_CLOEXEC, content, false);
    return;
  }
  const fs::path path = behind_links(to);
  const fs::path temporary = path.string() + ".tmp";
  try {
    write_all(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, content, true);
  } catch (const SystemError&) {
    std::error_code ignored;
    fs::remove(temporary, ignored);  // a full disk has better use for it
    throw;
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
