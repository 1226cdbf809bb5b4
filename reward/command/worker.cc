#include "reward/command/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>

#include "core/error.h"

extern char** environ;

namespace temper {
namespace {

constexpr size_t kMaxAnswer = 1 << 20, kMaxErrors = 4 << 10;

struct Pair {
  int ours = -1, theirs = -1;
};

// Sockets in place of pipes: a write to a program that has ended is then no signal but an error.
Pair make_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw_errno("cannot make a pipe to a program");
  }
  fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
  return {ends[0], ends[1]};
}

// The process groups of the workers that live. A thread that was given up may still hold one when
// this process ends, and no destructor of it runs then: they are killed at the exit.
class LivingGroups {
 public:
  void kill_all() {
    const std::lock_guard lock(mutex_);
    for (const int group : groups_) kill(-group, SIGKILL);
    ended_ = true;
  }
  void add(int group) {
    const std::lock_guard lock(mutex_);
    if (ended_) kill(-group, SIGKILL);
    groups_.insert(group);
  }
  // To be called before the group's number is free again.
  void remove(int group) {
    const std::lock_guard lock(mutex_);
    groups_.erase(group);
  }

 private:
  std::mutex mutex_;
  std::set<int> groups_;
  bool ended_ = false;
};

LivingGroups& living_groups() {
  // Never destroyed: those threads may use it to the last moment.
  static LivingGroups* const groups = [] {
    std::atexit([] { living_groups().kill_all(); });
    return new LivingGroups;
  }();
  return *groups;
}

void close_end(int& end) {
  if (end >= 0) close(end);
  end = -1;
}

}  // namespace

CommandWorker::CommandWorker(const std::string& command) {
  const Pair input = make_pair(), output = make_pair(), errors = make_pair();
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, input.theirs, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.theirs, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.theirs, STDERR_FILENO);
  // Its own group, so that what it starts ends with it; no Ctrl-C of ours.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  const char* arguments[] = {"sh", "-c", command.c_str(), nullptr};
  const int failed = posix_spawn(&process_, "/bin/sh", &actions, &attributes,
                                 const_cast<char**>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (const Pair& pair : {input, output, errors}) close(pair.theirs);
  input_ = input.ours, output_ = output.ours, errors_ = errors.ours;
  if (failed == 0) {
    living_groups().add(process_);
    return;
  }
  process_ = -1;
  close_end(input_), close_end(output_), close_end(errors_);
  errno = failed;
  throw_errno("cannot start '" + command + "'");
}

CommandWorker::CommandWorker(CommandWorker&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      input_(std::exchange(other.input_, -1)),
      output_(std::exchange(other.output_, -1)),
      errors_(std::exchange(other.errors_, -1)),
      answer_(std::move(other.answer_)),
      error_text_(std::move(other.error_text_)),
      ended_(other.ended_) {}

CommandWorker::~CommandWorker() {
  kill_group();
  close_end(input_), close_end(output_), close_end(errors_);
}

void CommandWorker::kill_group() {
  if (process_ < 0) return;
  kill(-process_, SIGKILL);
  living_groups().remove(process_);
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
}

// False if the program no longer reads.
bool CommandWorker::write_some(const std::string& text, size_t& written) {
  const ssize_t n = send(input_, text.data() + written, text.size() - written, MSG_NOSIGNAL);
  if (n > 0) written += static_cast<size_t>(n);
  return n >= 0 || errno == EAGAIN || errno == EINTR;
}

// False at the end of the program's output.
bool CommandWorker::read_some(int& pipe, std::string& into) {
  std::array<char, 16384> part;
  const ssize_t n = read(pipe, part.data(), part.size());
  if (n > 0) into.append(part.data(), static_cast<size_t>(n));
  if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return true;
  close_end(pipe);
  return false;
}

// Waits until there is something to do, and takes what came; false when the time is up.
bool CommandWorker::wait_for_input(Time deadline, bool writing) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  if (left.count() <= 0) return false;
  const short write = writing ? POLLOUT : 0;
  std::array<pollfd, 3> ends = {pollfd{output_, POLLIN, 0}, pollfd{errors_, POLLIN, 0},
                                pollfd{writing ? input_ : -1, write, 0}};
  const auto most = std::min<int64_t>(left.count() + 1, 60000);
  if (poll(ends.data(), ends.size(), static_cast<int>(most)) <= 0) return true;
  if (ends[0].revents != 0 && !read_some(output_, answer_)) ended_ = true;
  if (ends[1].revents != 0) read_some(errors_, error_text_);
  if (error_text_.size() > 2 * kMaxErrors) error_text_.erase(0, error_text_.size() - kMaxErrors);
  return true;
}

CommandWorker::Outcome CommandWorker::ask(const std::string& line, double seconds,
                                          std::string& answer) {
  const Time deadline = std::chrono::steady_clock::now() +
                        std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                            std::chrono::duration<double>(seconds));
  const std::string text = line + "\n";
  size_t written = 0;
  pollfd end{output_, POLLIN, 0};
  if (poll(&end, 1, 0) > 0 && !read_some(output_, answer_)) ended_ = true;
  if (!answer_.empty()) return Outcome::strayed;  // nothing earlier may answer for this line
  for (;;) {
    if (written < text.size() && !write_some(text, written)) ended_ = true;
    const size_t line_end = answer_.find('\n');
    if (line_end != std::string::npos && written == text.size()) {
      answer = answer_.substr(0, line_end);
      answer_.erase(0, line_end + 1);
      return Outcome::answered;
    }
    if (ended_ || answer_.size() > kMaxAnswer) return Outcome::ended;
    if (!wait_for_input(deadline, written < text.size())) return Outcome::late;
  }
}

std::string CommandWorker::take_errors() {
  pollfd end{errors_, POLLIN, 0};
  while (errors_ >= 0 && poll(&end, 1, 0) > 0 && read_some(errors_, error_text_)) {
  }
  std::string text = std::exchange(error_text_, "");
  if (text.size() > kMaxErrors) text.erase(0, text.size() - kMaxErrors);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string CommandWorker::how_it_ended() {
  for (int tries = 0; process_ >= 0 && tries < 50; ++tries) {
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) == process_) {
      kill(-process_, SIGKILL);  // what it left behind
      living_groups().remove(process_);
      process_ = -1;
      if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
      return "exit status " + std::to_string(WEXITSTATUS(status));
    }
    usleep(2000);
  }
  return "its output ended";
}

}  // namespace temper
