#include "reward/code/descriptor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/error.h"

namespace temper {
namespace {

constexpr int kFirstNumber = 10;

int make_memory_file() {
#ifdef MFD_EXEC
  const int fd = memfd_create("temper", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd >= 0) return fd;  // a kernel before 6.3 does not know the flag
#endif
  return memfd_create("temper", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

}  // namespace

void Descriptor::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Descriptor raised(Descriptor file) {
  if (file.get() >= kFirstNumber) return file;
  Descriptor high(fcntl(file.get(), F_DUPFD_CLOEXEC, kFirstNumber));
  if (high.get() < 0) throw_errno("copying a file descriptor");
  return high;
}

PipeEnds make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw_errno("making a pipe");
  return {raised(Descriptor(ends[0])), raised(Descriptor(ends[1]))};
}

Descriptor sealed_memory_file(std::string_view content) {
  const int fd = make_memory_file();
  if (fd < 0) throw_errno("making a file in memory");
  Descriptor file = raised(Descriptor(fd));
  for (size_t at = 0; at < content.size();) {
    const ssize_t n = write(file.get(), content.data() + at, content.size() - at);
    if (n < 0) throw_errno("writing a file in memory");
    at += static_cast<size_t>(n);
  }
  const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (fcntl(file.get(), F_ADD_SEALS, seals) != 0) throw_errno("sealing a file in memory");
  if (lseek(file.get(), 0, SEEK_SET) != 0) throw_errno("rewinding a file in memory");
  return file;
}

}  // namespace temper
