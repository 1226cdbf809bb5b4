// An owned file descriptor, and the kinds of them that the code judge hands to programs.
#pragma once

#include <string_view>
#include <utility>

namespace temper {

// Closes what it owns. Move-only.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  void reset();  // closes it

 private:
  int fd_ = -1;
};

// The same open file under a number above those that a program is given (0 to 9), so that one can
// be put in the place of another in any order. Closed on exec. Throws SystemError.
Descriptor raised(Descriptor file);

struct PipeEnds {
  Descriptor read, write;
};

// A pipe with raised ends, closed on exec. Throws SystemError.
PipeEnds make_pipe();

// A file in memory that holds `content` and that nobody can change any more, open at its start;
// it can be executed. Closed on exec. Throws SystemError.
Descriptor sealed_memory_file(std::string_view content);

}  // namespace temper
