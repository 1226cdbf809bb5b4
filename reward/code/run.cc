#include "reward/code/run.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>

#include "core/error.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kErrorBytes = 4096;

enum class ReadState { open, ended, over };

// Moves what is there to read to the end of `text`, without waiting.
ReadState read_available(int fd, std::string& text, size_t limit) {
  char block[64 << 10];
  for (;;) {
    const ssize_t n = read(fd, block, sizeof block);
    if (n == 0) return ReadState::ended;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN ? ReadState::open : ReadState::ended;
    const size_t room = limit - std::min(limit, text.size());
    text.append(block, std::min(room, static_cast<size_t>(n)));
    if (static_cast<size_t>(n) > room) return ReadState::over;
  }
}

// As above, keeping the last kErrorBytes only.
ReadState read_last(int fd, std::string& text) {
  std::string more;
  const ReadState state = read_available(fd, more, 1 << 20);
  text += more;
  if (text.size() > kErrorBytes) text.erase(0, text.size() - kErrorBytes);
  return state == ReadState::over ? ReadState::open : state;
}

void stop_blocking(int fd) {
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) throw_errno("setting up a pipe");
}

// Reads both pipes until the program has ended, or went over a limit and was killed.
void watch(RunningProgram& running, int output, int errors, const RunLimits& limits,
           RunResult& result) {
  const auto deadline = deadline_after(limits.wall_seconds);
  const auto cap = static_cast<size_t>(limits.output_bytes);
  pollfd watched[3] = {{running.handle(), POLLIN, 0}, {output, POLLIN, 0}, {errors, POLLIN, 0}};
  for (;;) {
    const int ready = poll(watched, 3, milliseconds_until(deadline));
    if (ready < 0 && errno != EINTR) throw_errno("waiting for a program");
    if (ready == 0) {
      result.outcome = RunOutcome::timeout;
      break;
    }
    // What a program wrote before it ended is still in the pipes: looked at after its end.
    const bool ended = watched[0].revents != 0;
    if (watched[1].fd >= 0 && (watched[1].revents != 0 || ended)) {
      const ReadState state = read_available(output, result.output, cap);
      if (state == ReadState::over) {
        result.outcome = RunOutcome::output_limit;
        break;
      }
      if (state == ReadState::ended) watched[1].fd = -1;
    }
    if (watched[2].fd >= 0 && (watched[2].revents != 0 || ended)) {
      if (read_last(errors, result.errors) == ReadState::ended) watched[2].fd = -1;
    }
    if (ended) return;
  }
  running.kill();
}

}  // namespace

int milliseconds_until(std::chrono::steady_clock::time_point deadline) {
  const std::chrono::duration<double, std::milli> left =
      deadline - std::chrono::steady_clock::now();
  return static_cast<int>(std::clamp(std::ceil(left.count()), 0.0, 1e9));
}

std::chrono::steady_clock::time_point deadline_after(double seconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             std::chrono::duration<double>(seconds));
}

bool out_of_cpu_time(const ProgramEnd& end, const RunLimits& limits) {
  // The kernel stops a program by a count of its time in ticks, which on a busy machine is far from
  // the exact one that it reports. A program that kills itself so late is taken for a slow one.
  const double used = static_cast<double>(end.cpu_microseconds) * 1e-6;
  return !end.exited && (end.code == SIGKILL || end.code == SIGXCPU) &&
         used > 0.4 * std::ceil(limits.cpu_seconds);
}

std::string failure_of(const RunResult& run) {
  if (run.outcome == RunOutcome::timeout) return "time limit";
  if (run.outcome == RunOutcome::output_limit) return "too much output";
  if (run.end.exited && run.end.code == 0) return "";
  std::string text = run.end.exited ? "exit code " + std::to_string(run.end.code)
                                    : std::string("killed: ") + strsignal(run.end.code);
  const std::string_view errors = trimmed(run.errors);
  const size_t line = errors.rfind('\n');
  const std::string_view last = line == std::string_view::npos ? errors : errors.substr(line + 1);
  return last.empty() ? text : text + ": " + shortened(last, 120);
}

RunResult run_to_end(const ProgramStarter& starter, SandboxProgram program, std::string_view input,
                     const RunLimits& limits) {
  const auto start = std::chrono::steady_clock::now();
  const Descriptor input_file = sealed_memory_file(input);
  PipeEnds output = make_pipe(), errors = make_pipe();
  stop_blocking(output.read.get());
  stop_blocking(errors.read.get());
  program.descriptors[0] = input_file.get();
  program.descriptors[1] = output.write.get();
  program.descriptors[2] = errors.write.get();
  RunningProgram running = starter.start(program, limits);
  output.write.reset();
  errors.write.reset();
  RunResult result;
  watch(running, output.read.get(), errors.read.get(), limits, result);
  result.end = running.wait();
  if (out_of_cpu_time(result.end, limits)) result.outcome = RunOutcome::timeout;
  result.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace temper
