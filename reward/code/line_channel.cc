#include "reward/code/line_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "core/error.h"
#include "reward/code/run.h"

namespace temper {
namespace {

bool wait_for(int fd, short what, std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    pollfd watched{fd, what, 0};
    const int ready = poll(&watched, 1, milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

}  // namespace

LineChannel::LineChannel(size_t longest_line) : limit_(longest_line) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("socketpair");
  near_ = Descriptor(ends[0]);
  far_ = raised(Descriptor(ends[1]));
}

LineStatus LineChannel::send(std::string_view text,
                             std::chrono::steady_clock::time_point deadline) {
  std::string line(text);
  line += '\n';
  for (size_t at = 0; at < line.size();) {
    const ssize_t n =
        ::send(near_.get(), line.data() + at, line.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      at += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      if (!wait_for(near_.get(), POLLOUT, deadline)) return LineStatus::timeout;
    } else if (errno != EINTR) {
      return LineStatus::ended;
    }
  }
  return LineStatus::line;
}

LineStatus LineChannel::receive(std::string& line, std::chrono::steady_clock::time_point deadline) {
  for (size_t looked = 0;;) {
    const size_t end = rest_.find('\n', looked);
    if (end != std::string::npos) {
      line.assign(rest_, 0, end);
      rest_.erase(0, end + 1);
      return LineStatus::line;
    }
    looked = rest_.size();
    if (looked > limit_) return LineStatus::too_long;
    if (!wait_for(near_.get(), POLLIN, deadline)) return LineStatus::timeout;
    char block[64 << 10];
    const ssize_t n = recv(near_.get(), block, sizeof block, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return LineStatus::ended;
    rest_.append(block, static_cast<size_t>(n));
  }
}

}  // namespace temper
