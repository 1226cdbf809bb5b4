// A progress bar: where long work stands, its key figures, its speed and the time left.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/log.h"

namespace temper {

struct Figure {
  std::string name;  // "loss", "reward"
  double value = 0;
};

struct ProgressSpec {
  std::string label = {};              // "grpo"
  int64_t total = 0;                   // 0: not known, so no bar and no time left
  std::string unit = "step";           // what `done` counts
  double seconds_between_lines = 10;   // when the log is not a terminal; 0: none but the last
  std::function<double()> clock = {};  // seconds; empty: the steady clock
};

// On a terminal the bar is redrawn in place, at most ten times a second; elsewhere a plain line
// appears every so often. The last state is left standing when it is finished or destroyed.
class Progress {
 public:
  Progress(Logger& log, ProgressSpec spec);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // The work stands at `done` units and `tokens` tokens since the start (0: not counted).
  void update(int64_t done, std::vector<Figure> figures = {}, int64_t tokens = 0);
  void finish();

  // Tokens a second since the start.
  double tokens_per_second() const;
  std::string text(double now) const;  // the line as it would be drawn

 private:
  Logger& log_;
  ProgressSpec spec_;
  double start_, drawn_;
  int64_t done_ = 0, tokens_ = 0;
  std::vector<Figure> figures_;
  bool finished_ = false, stale_ = false;
};

std::string duration_text(double seconds);  // "0:07", "12:40", "3:05:00"
std::string count_text(double count);       // "873", "12.4k", "3.10M"

}  // namespace temper
