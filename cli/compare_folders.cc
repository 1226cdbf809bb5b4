#include "cli/compare_folders.h"

#include <algorithm>

#include "core/file_lock.h"
#include "data/store_reader.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// The stages that are done with their inputs and outputs; tries that a kill ended are no part of
// it.
constexpr const char* kDone =
    "SELECT s.position, s.name, s.subcommand, s.output, l.direction, l.role, l.path, l.hash FROM "
    "%.stages s LEFT JOIN %.lineage l ON l.stage_id = s.id WHERE s.status = 'done'";

std::string done_in(const std::string& schema) {
  std::string sql = kDone;
  for (size_t at = sql.find('%'); at != std::string::npos; at = sql.find('%'))
    sql.replace(at, 1, schema);
  return sql;
}

bool is_chain(const fs::path& run) {
  Database db = open_for_reading(run);
  return db.value<int>("SELECT count(*) FROM runs WHERE kind = 'r1'").value_or(0) > 0;
}

RunDifference compare_stages(const fs::path& a, const fs::path& b) {
  Database db = open_for_reading(a);
  attach_for_reading(db, b);
  const auto count = [&](const std::string& sql) {
    return db.value<int64_t>("SELECT count(*) FROM (" + sql + ")").value_or(0);
  };
  const std::string here = done_in("main"), there = done_in("other");
  const std::string lost = here + " EXCEPT " + there, added = there + " EXCEPT " + here;
  RunDifference found{.what = "stages", .rows = count(here)};
  found.differing = std::max(count(lost), count(added));
  if (found.differing > 0)
    found.example = db.value<std::string>("SELECT name || ' ' || coalesce(path, '') FROM (" +
                                          (count(lost) > 0 ? lost : added) + ")")
                        .value_or("");
  return found;
}

void add_run(std::vector<RunDifference>& found, const fs::path& a, const fs::path& b,
             const std::string& prefix) {
  if (!fs::exists(b / kStoreFile)) {
    found.push_back({.what = prefix + kStoreFile, .differing = 1, .example = "only one has it"});
    return;
  }
  if (is_chain(a)) {
    found.push_back(compare_stages(a, b));
    return;
  }
  for (RunDifference& d : compare_runs(a, b)) {
    d.what = prefix + d.what;
    found.push_back(std::move(d));
  }
}

}  // namespace

std::vector<RunDifference> compare_folders(const fs::path& a, const fs::path& b) {
  std::vector<RunDifference> found;
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(a); entry != fs::end(entry); ++entry) {
    const std::string name = entry->path().filename().string();
    // Links to a model are followed by compare_runs().
    if (entry->is_directory() && (name == "checkpoints" || entry->is_symlink())) {
      entry.disable_recursion_pending();
      continue;
    }
    const bool other = name.starts_with(kStoreFile) || name == kLockFile;
    if (entry->is_regular_file() && (!other || name == kStoreFile)) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const fs::path relative = file.lexically_relative(a);
    const std::string folder = relative.parent_path().string();
    const std::string prefix = folder.empty() ? "" : folder + "/";
    if (relative.filename() == kStoreFile)
      add_run(found, file.parent_path(), (b / relative).parent_path(), prefix);
    else
      found.push_back(compare_file(file.parent_path(), (b / relative).parent_path(), prefix,
                                   relative.filename().string()));
  }
  return found;
}

}  // namespace temper
