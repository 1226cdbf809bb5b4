#include "core/log.h"

namespace temper {
namespace {

constexpr std::string_view kClearLine = "\r\033[K";

// The longest start of `text` that takes at most `columns` code points.
std::string_view cut(std::string_view text, int columns) {
  int used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts_character = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (starts_character && used++ == columns) return text.substr(0, i);
  }
  return text;
}

}  // namespace

void Logger::write_line(std::string_view prefix, std::string_view text) {
  if (!status_.empty()) sink_ << kClearLine;
  sink_ << prefix << text << '\n' << status_ << std::flush;
}

void Logger::info(std::string_view text) {
  if (style_.quiet) return;
  const std::lock_guard lock(mutex_);
  write_line("", text);
}

void Logger::warn(std::string_view text) {
  const std::lock_guard lock(mutex_);
  ++warnings_;
  write_line("warning: ", text);
}

void Logger::status(std::string_view text) {
  if (!style_.terminal || style_.quiet) return;
  const std::lock_guard lock(mutex_);
  status_ = cut(text, style_.width - 1);
  sink_ << kClearLine << status_ << std::flush;
}

void Logger::end_status() {
  const std::lock_guard lock(mutex_);
  if (status_.empty()) return;
  status_.clear();
  sink_ << '\n' << std::flush;
}

int Logger::warnings() const {
  const std::lock_guard lock(mutex_);
  return warnings_;
}

}  // namespace temper
