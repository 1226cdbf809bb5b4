// What a person watching a run sees: lines, warnings and one line of status, all on one stream.
#pragma once

#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

namespace temper {

struct LogStyle {
  bool terminal = false;  // the stream can redraw its last line
  int width = 80;         // columns of the terminal
  bool quiet = false;     // only warnings
};

// Writes to a stream that outlives it (std::cerr in the binary). Safe from several threads.
class Logger {
 public:
  explicit Logger(std::ostream& sink, LogStyle style = {}) : sink_(sink), style_(style) {}
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  // One line, or several; above the status line if there is one. info() is silent when quiet.
  void info(std::string_view text);
  void warn(std::string_view text);  // "warning: <text>"; never silent

  // Redraws the status line, cut to the width; nothing when not a terminal or quiet.
  void status(std::string_view text);
  // Leaves the status line as it stands and goes on below it.
  void end_status();

  const LogStyle& style() const { return style_; }
  int warnings() const;

 private:
  void write_line(std::string_view prefix, std::string_view text);

  std::ostream& sink_;
  LogStyle style_;
  mutable std::mutex mutex_;
  std::string status_;
  int warnings_ = 0;
};

}  // namespace temper
