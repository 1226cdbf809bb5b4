#include "cli/killed_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>

#include "core/error.h"
#include "core/stopwatch.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// Counts what changes in a folder and in those that are made in it.
class FolderWatch {
 public:
  explicit FolderWatch(const fs::path& folder) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (fd_ < 0) throw_errno("cannot watch " + folder.string());
    add(folder);
  }
  ~FolderWatch() { ::close(fd_); }
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Waits up to a millisecond and counts one change of those that there are; false: there is none.
  bool next() {
    if (at_ >= filled_) {
      pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, 1) <= 0) return false;
      const ssize_t n = ::read(fd_, buffer_.data(), buffer_.size());
      if (n <= 0) return false;
      filled_ = static_cast<size_t>(n);
      at_ = 0;
    }
    const auto* event = reinterpret_cast<const inotify_event*>(buffer_.data() + at_);
    at_ += sizeof(inotify_event) + event->len;
    const auto folder = folders_.find(event->wd);
    if ((event->mask & IN_ISDIR) != 0 && folder != folders_.end() && event->len > 0)
      add(folder->second / event->name);
    return true;
  }

 private:
  void add(const fs::path& folder) {
    const int id =
        ::inotify_add_watch(fd_, folder.c_str(), IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_DELETE);
    if (id >= 0) folders_[id] = folder;  // a folder may be gone again
  }

  int fd_;
  std::map<int, fs::path> folders_;
  alignas(inotify_event) std::array<char, 4096> buffer_{};
  size_t at_ = 0, filled_ = 0;
};

pid_t start(std::vector<std::string> arguments, const fs::path& log) {
  arguments.insert(arguments.begin(), "temper");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string file = log.string();
  const pid_t child = ::fork();
  if (child < 0) throw_errno("cannot start another process");
  if (child > 0) return child;
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (::dup2(fd, STDOUT_FILENO) >= 0 && ::dup2(fd, STDERR_FILENO) >= 0)
    ::execv("/proc/self/exe", argv.data());
  ::_exit(127);
}

}  // namespace

ChildEnd run_and_kill(const std::vector<std::string>& arguments, const fs::path& log,
                      const fs::path& folder, const KillMoment& moment) {
  FolderWatch watch(folder);
  const Stopwatch time;
  const pid_t child = start(arguments, log);
  ChildEnd end;
  for (int status = 0;;) {
    if (watch.next()) ++end.changes;
    end.seconds = time.seconds();
    const bool due = (moment.seconds && end.seconds >= *moment.seconds) ||
                     (moment.changes && end.changes >= *moment.changes);
    if (due && !end.killed) {
      ::kill(child, SIGKILL);
      end.killed = true;
    }
    const pid_t ended = ::waitpid(child, &status, end.killed ? 0 : WNOHANG);
    if (ended < 0 && errno != EINTR) throw_errno("cannot wait for process");
    if (ended != child) continue;
    while (watch.next()) ++end.changes;
    end.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && end.killed;
    end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return end;
  }
}

}  // namespace temper
