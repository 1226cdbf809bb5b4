// Lines to and from a program, with deadlines and a limit on length.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "reward/code/descriptor.h"

namespace temper {

enum class LineStatus { line, ended, timeout, too_long };

// A pair of connected sockets, of which the program gets one end. The bytes that come from it are
// not looked at here.
class LineChannel {
 public:
  // Throws SystemError.
  explicit LineChannel(size_t longest_line);

  // The program's end, until it has been started with it.
  int far_end() const { return far_.get(); }
  void close_far_end() { far_.reset(); }

  // Sends the text and a line end.
  LineStatus send(std::string_view text, std::chrono::steady_clock::time_point deadline);
  // Receives up to the next line end, which is not kept.
  LineStatus receive(std::string& line, std::chrono::steady_clock::time_point deadline);

 private:
  Descriptor near_, far_;
  size_t limit_;
  std::string rest_;
};

}  // namespace temper
