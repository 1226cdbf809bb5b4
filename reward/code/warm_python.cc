#include "reward/code/warm_python.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "reward/code/run.h"
#include "reward/code/scripts.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr double kSecondsToAnswer = 20.0;
constexpr size_t kLongestMessage = 16 << 10;
constexpr int kMostDescriptors = kProgramDescriptors + 2;

Descriptor open_path(const char* path, int flags) {
  Descriptor file(open(path, flags | O_CLOEXEC));
  if (file.get() < 0) throw_errno(std::string("opening ") + path);
  return raised(std::move(file));
}

RunLimits limits_of_interpreter(RunLimits most) {
  most.cpu_seconds = 7 * 24 * 3600;
  most.memory_bytes = std::max<int64_t>(most.memory_bytes, 1LL << 30);
  most.threads += 8;  // its own besides its child's
  return most;
}

bool send_message(int socket, const std::string& text, const std::vector<int>& descriptors) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
  ssize_t n = 0;
  do n = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(text.size());
}

struct Message {
  std::string text;  // empty: the other side has ended, or says nothing
  Descriptor descriptor;
};

Message receive_message(int socket) {
  const auto deadline = deadline_after(kSecondsToAnswer);
  pollfd watched{socket, POLLIN, 0};
  while (poll(&watched, 1, milliseconds_until(deadline)) < 0 && errno == EINTR) {
  }
  char text[512];
  iovec part{text, sizeof text};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  Message received;
  if (n > 0) received.text.assign(text, static_cast<size_t>(n));
  const cmsghdr* header = n > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    received.descriptor = raised(Descriptor(fd));
  }
  return received;
}

// The request's text; warm_python_script.cc reads it.
std::string request_of(const SandboxProgram& program, const RunLimits& limits, bool has_group,
                       int descriptors) {
  std::string text = std::to_string(has_group ? 1 : 0) + " " + std::to_string(descriptors);
  for (const ResourceLimit& limit : resource_limits(limits, true)) {
    text += " " + std::to_string(limit.what) + " " + std::to_string(limit.value);
  }
  text += "\n" + private_folder_options(limits);
  for (const ProgramFile& file : program.files) {
    text += "\n" + file.name + " " + std::to_string(file.content.size());
  }
  require(text.size() < kLongestMessage, "a program has too many files");
  return text;
}

}  // namespace

// One interpreter: what it is told and what it says. Messages from it: P with a handle of the
// child, S when the child is sealed, F and why it could not be, E and how it ended.
class WarmPython::Interpreter {
 public:
  Interpreter(const Sandbox& sandbox, const std::vector<std::string>& command,
              const RunLimits& most)
      : errors_(make_pipe()),
        channel_(make_channel()),
        program_(begin(sandbox, command, limits_of_interpreter(most))) {
    errors_.write.reset();
    channel_.write.reset();
    if (fcntl(errors_.read.get(), F_SETFL, O_NONBLOCK) != 0) throw_errno("setting up a pipe");
  }

  // The handle of the started child; none if this interpreter had ended before. Throws SystemError.
  std::optional<Descriptor> start(const std::string& request, const std::vector<int>& descriptors) {
    if (!send_message(channel_.read.get(), request, descriptors)) return std::nullopt;
    Descriptor handle;
    bool sealed = false;
    while (handle.get() < 0 || !sealed) {
      Message message = receive_message(channel_.read.get());
      if (message.text == "P") {
        handle = std::move(message.descriptor);
      } else if (message.text == "S") {
        sealed = true;
      } else if (message.text.empty() && used_ && handle.get() < 0) {
        return std::nullopt;  // it ended while it waited, and its end shows only now
      } else {
        fail(message.text);
      }
    }
    used_ = true;
    return handle;
  }

  ProgramEnd end_of_child() {
    const Message message = receive_message(channel_.read.get());
    int status = 0;
    ProgramEnd end;
    long long microseconds = 0, kilobytes = 0;
    if (std::sscanf(message.text.c_str(), "E %d %lld %lld", &status, &microseconds, &kilobytes) !=
        3) {
      fail(message.text);
    }
    end.exited = WIFEXITED(status);
    end.code = end.exited ? WEXITSTATUS(status) : WTERMSIG(status);
    end.cpu_microseconds = microseconds;
    end.peak_bytes = kilobytes * 1024;
    return end;
  }

 private:
  // Both ends of a channel that keeps messages apart; `write` is the interpreter's.
  static PipeEnds make_channel() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("socketpair");
    return {raised(Descriptor(ends[0])), raised(Descriptor(ends[1]))};
  }

  RunningProgram begin(const Sandbox& sandbox, const std::vector<std::string>& command,
                       const RunLimits& limits) const {
    const std::vector<sock_filter> filter = system_call_filter(ProcessRights::threads);
    const auto* bytes = reinterpret_cast<const char*>(filter.data());
    const Descriptor proc = open_path("/proc", O_PATH | O_DIRECTORY);
    // The same kinds of files as programs get: the interpreter looks at them when it starts.
    const Descriptor input = sealed_memory_file("");
    SandboxProgram program{.arguments = command};
    program.arguments.push_back("warm_python.py");
    program.files = {{"warm_python.py", warm_python_script()},
                     {"filter", {bytes, filter.size() * sizeof filter[0]}}};
    program.descriptors = {input.get(), errors_.write.get(), errors_.write.get(),
                           channel_.write.get(), proc.get()};
    program.rights = ProcessRights::sealing;
    return sandbox.start(program, limits);
  }

  [[noreturn]] void fail(const std::string& message) const {
    char errors[1024];
    const ssize_t n = read(errors_.read.get(), errors, sizeof errors);
    std::string reason = message.starts_with("F") ? message.substr(1) : "the interpreter ended";
    if (n > 0) reason += ": " + shortened(std::string_view(errors, static_cast<size_t>(n)), 300);
    throw SystemError("the sandbox cannot start a program: " + reason);
  }

  PipeEnds errors_, channel_;
  RunningProgram program_;
  bool used_ = false;  // it has started a child
};

// Interpreters without a child.
struct WarmPython::Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<Interpreter>> waiting;
};

class WarmPython::Child final : public ProgramParent {
 public:
  Child(std::unique_ptr<Interpreter> interpreter, std::shared_ptr<Pool> pool)
      : interpreter_(std::move(interpreter)), pool_(std::move(pool)) {}

  // An interpreter that cannot say how its child ended is ended itself.
  ProgramEnd reap() override {
    const ProgramEnd end = interpreter_->end_of_child();
    const std::lock_guard lock(pool_->mutex);
    pool_->waiting.push_back(std::move(interpreter_));
    return end;
  }

 private:
  std::unique_ptr<Interpreter> interpreter_;
  std::shared_ptr<Pool> pool_;
};

WarmPython::WarmPython(const Sandbox& sandbox, std::vector<std::string> command,
                       const RunLimits& most)
    : sandbox_(sandbox),
      command_(std::move(command)),
      most_(most),
      pool_(std::make_shared<Pool>()) {}

WarmPython::~WarmPython() = default;

std::string WarmPython::fault() const {
  try {
    SandboxProgram program;
    program.files = {{"main.py", ""}};
    const RunResult run = run_to_end(*this, program, "", most_);
    return failure_of(run);
  } catch (const SystemError& failure) {
    return failure.what();
  }
}

RunningProgram WarmPython::start(const SandboxProgram& program, const RunLimits& limits) const {
  require(program.rights == ProcessRights::threads && !program.files.empty(),
          "a warm interpreter runs a program of its own files, with threads");
  ControlGroup group = sandbox_.make_group(limits);
  std::string content;
  for (const ProgramFile& file : program.files) content += file.content;
  const Descriptor files = sealed_memory_file(content), null = open_path("/dev/null", O_RDWR);
  std::vector<int> passed;
  if (group.entrance() >= 0) passed.push_back(group.entrance());
  passed.push_back(files.get());
  int descriptors = 0;
  for (const int each : program.descriptors) {
    if (each < 0 && descriptors > 2) break;
    passed.push_back(each < 0 ? null.get() : each);
    ++descriptors;
  }
  const std::string request = request_of(program, limits, group.entrance() >= 0, descriptors);
  for (;;) {
    std::unique_ptr<Interpreter> interpreter;
    {
      const std::lock_guard lock(pool_->mutex);
      if (!pool_->waiting.empty()) {
        interpreter = std::move(pool_->waiting.back());
        pool_->waiting.pop_back();
      }
    }
    const bool fresh = !interpreter;
    if (fresh) interpreter = std::make_unique<Interpreter>(sandbox_, command_, most_);
    std::optional<Descriptor> handle = interpreter->start(request, passed);
    if (handle) {
      return {std::move(*handle), std::move(group),
              std::make_unique<Child>(std::move(interpreter), pool_)};
    }
    if (fresh) throw SystemError("the sandbox cannot start a program: the interpreter ended");
  }
}

}  // namespace temper
