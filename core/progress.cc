#include "core/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/stopwatch.h"

namespace temper {
namespace {

constexpr double kSecondsBetweenDraws = 0.1;
constexpr int kBarCells = 20;

std::string format(const char* pattern, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, value);
  return buffer;
}

std::string bar_text(double fraction) {
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kBarCells);
  return "[" + std::string(static_cast<size_t>(filled), '#') +
         std::string(static_cast<size_t>(kBarCells - filled), '.') + "]";
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  char buffer[40];
  if (whole >= 3600) {
    std::snprintf(buffer, sizeof buffer, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
                  whole % 60);
  } else {
    std::snprintf(buffer, sizeof buffer, "%lld:%02lld", whole / 60, whole % 60);
  }
  return buffer;
}

std::string count_text(double count) {
  if (count < 999.5) return format("%.0f", count);
  if (count < 99950) return format("%.1fk", count / 1e3);
  if (count < 999500) return format("%.0fk", count / 1e3);
  return format("%.2fM", count / 1e6);
}

Progress::Progress(Logger& log, ProgressSpec spec) : log_(log), spec_(std::move(spec)) {
  if (!spec_.clock) spec_.clock = steady_seconds;
  start_ = spec_.clock();
  drawn_ = log_.style().terminal ? start_ - kSecondsBetweenDraws : start_;
}

Progress::~Progress() {
  finish();
}

double Progress::tokens_per_second() const {
  const double elapsed = spec_.clock() - start_;
  return elapsed > 0 ? static_cast<double>(tokens_) / elapsed : 0;
}

std::string Progress::text(double now) const {
  const double elapsed = now - start_;
  std::string line = spec_.label;
  if (spec_.total > 0) {
    const double fraction = static_cast<double>(done_) / static_cast<double>(spec_.total);
    if (log_.style().terminal) line += " " + bar_text(fraction);
    line += " " + spec_.unit + " " + std::to_string(done_) + "/" + std::to_string(spec_.total);
  } else {
    line += " " + spec_.unit + " " + std::to_string(done_);
  }
  for (const Figure& figure : figures_) {
    line += "  " + figure.name + " " + format("%.4g", figure.value);
  }
  if (tokens_ > 0 && elapsed > 0) {
    line += "  " + count_text(static_cast<double>(tokens_) / elapsed) + " tok/s";
  }
  if (finished_ || spec_.total <= 0 || done_ >= spec_.total) {
    line += "  took " + duration_text(elapsed);
  } else if (done_ > 0) {
    const auto left = static_cast<double>(spec_.total - done_);
    line += "  left " + duration_text(elapsed / static_cast<double>(done_) * left);
  }
  return line;
}

void Progress::update(int64_t done, std::vector<Figure> figures, int64_t tokens) {
  done_ = done;
  tokens_ = tokens;
  figures_ = std::move(figures);
  stale_ = true;
  const bool terminal = log_.style().terminal;
  const double wait = terminal ? kSecondsBetweenDraws : spec_.seconds_between_lines;
  const double now = spec_.clock();
  if (wait <= 0 || now - drawn_ < wait) return;
  drawn_ = now;
  stale_ = false;
  if (terminal) {
    log_.status(text(now));
  } else {
    log_.info(text(now));
  }
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (log_.style().terminal) {
    if (done_ > 0) log_.status(text(spec_.clock()));
    log_.end_status();
  } else if (stale_) {
    log_.info(text(spec_.clock()));
  }
}

}  // namespace temper
