// A program that lives long and answers a line with a line.
#pragma once

#include <chrono>
#include <string>

namespace temper {

// One run of a command under /bin/sh, in a process group of its own. Move-only; one thread at a
// time. The destructor kills the whole group.
class CommandWorker {
 public:
  // Starts it. Throws SystemError if no process can be made.
  explicit CommandWorker(const std::string& command);
  ~CommandWorker();
  CommandWorker(CommandWorker&& other) noexcept;
  CommandWorker& operator=(CommandWorker&& other) = delete;

  enum class Outcome {
    answered,
    late,
    ended,   // or wrote more than 1 MiB without a line break
    strayed  // wrote something that nobody asked for: its answers may be one off from now on
  };
  // Writes `line` and a line break, and waits for a line, `seconds` at most, which goes to
  // `answer` without its line break.
  Outcome ask(const std::string& line, double seconds, std::string& answer);

  // What it wrote to its standard error since the last call: the last 4 KiB.
  std::string take_errors();
  // How it ended, in words ("exit status 3", "signal 11"); waits a moment for it to end.
  std::string how_it_ended();

 private:
  using Time = std::chrono::steady_clock::time_point;
  bool write_some(const std::string& text, size_t& written);
  bool wait_for_input(Time deadline, bool writing);
  bool read_some(int& pipe, std::string& into);
  void kill_group();

  int process_ = -1;
  int input_ = -1, output_ = -1, errors_ = -1;  // ours ends
  std::string answer_, error_text_;
  bool ended_ = false;
};

}  // namespace temper
