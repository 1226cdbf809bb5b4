// Whether two run directories hold the same run.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

struct RunDifference {
  std::string what;  // a table of the database, or a file
  int64_t rows = 0;  // of the first run; of a file: bytes
  int64_t differing = 0;
  std::string example = {};  // the first difference in words
  bool file = false;
};

// Compares every table of run.db but `events`, column by column without what is a time or names the
// call, and every file of the final model folder byte by byte, moments included.
// Throws UserError if one has no database.
std::vector<RunDifference> compare_runs(const std::filesystem::path& a,
                                        const std::filesystem::path& b);

// Compares the file `name` of two folders byte by byte; `prefix` stands before its name in `what`.
RunDifference compare_file(const std::filesystem::path& a, const std::filesystem::path& b,
                           const std::string& prefix, const std::string& name);

// Whether a metric is a time, a speed or memory, so that two equal runs may differ in it.
bool is_time_metric(std::string_view name);

}  // namespace temper
