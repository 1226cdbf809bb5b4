#include "model/checkpoint/checksums.h"

#include <algorithm>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "core/xxh64.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

constexpr size_t kDigits = 16;

std::string hex(uint64_t number) {
  char text[kDigits + 1];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

std::string digits_of(const fs::path& path) {
  const MappedFile file(path);
  return hex(xxh64({file.data(), file.size()}));
}

// What is wrong with one line of the list, or "".
std::string problem_of(const fs::path& dir, const std::string& line, ChecksumScope scope) {
  if (line.size() < kDigits + 3) return std::string(kChecksumFile) + ": a line is cut off";
  const std::string name = line.substr(kDigits + 2);
  if (scope == ChecksumScope::model && name.starts_with("training_state.")) return "";
  std::error_code error;  // of a name that no file can have
  if (!fs::is_regular_file(dir / name, error)) return name + ": missing";
  const std::string found = digits_of(dir / name);
  if (found == line.substr(0, kDigits)) return "";
  return name + ": damaged or changed (" + std::to_string(fs::file_size(dir / name)) +
         " bytes, checksum " + found + ", written with " + line.substr(0, kDigits) + ")";
}

}  // namespace

std::string file_checksum(const fs::path& file) {
  return "xxh64:" + digits_of(file);
}

void write_checksums(const fs::path& dir) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir))
    if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  std::string list;
  for (const std::string& name : names) list += digits_of(dir / name) + "  " + name + "\n";
  write_file_atomically(dir / kChecksumFile, list);
}

std::vector<std::string> damaged_files(const fs::path& dir, ChecksumScope scope) {
  if (!fs::exists(dir / kChecksumFile)) return {};
  std::istringstream list(read_file(dir / kChecksumFile));
  std::vector<std::string> problems;
  for (std::string line; std::getline(list, line);)
    if (std::string problem = problem_of(dir, line, scope); !problem.empty())
      problems.push_back(std::move(problem));
  return problems;
}

}  // namespace temper
