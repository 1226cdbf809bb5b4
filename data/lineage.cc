#include "data/lineage.h"

#include <algorithm>

#include "core/file.h"
#include "core/hash.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

void add_items(Database& database, int64_t stage_id, const char* direction,
               const std::vector<LineageItem>& items) {
  for (const LineageItem& item : items)
    database.execute(
        "INSERT INTO lineage (stage_id, direction, role, path, hash, from_stage)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        stage_id, direction, item.role, item.path, item.hash, item.from_stage);
}

// What stands for the bytes of a file.
std::string file_digest(const fs::path& path) {
  constexpr uintmax_t kWhole = uintmax_t{256} << 20, kEnd = uintmax_t{1} << 20;
  const uintmax_t size = fs::file_size(path);
  if (size == 0) return "0";
  const MappedFile file(path);
  const std::string_view bytes(file.data(), file.size());
  if (size <= kWhole) return std::to_string(size) + fingerprint(bytes);
  return std::to_string(size) + fingerprint(bytes.substr(0, kEnd)) +
         fingerprint(bytes.substr(bytes.size() - kEnd));
}

}  // namespace

int64_t begin_stage(Database& database, int64_t run_id, const NewStage& stage,
                    const std::vector<LineageItem>& inputs) {
  Transaction transaction(database);
  database.execute(
      "INSERT INTO stages (run_id, name, position, subcommand, command, output, status, started)"
      " VALUES (?, ?, ?, ?, ?, ?, 'running', ?)",
      run_id, stage.name, stage.position, stage.subcommand, stage.command, stage.output,
      unix_seconds());
  const int64_t id = database.last_insert_id();
  add_items(database, id, "input", inputs);
  transaction.commit();
  return id;
}

void finish_stage(Database& database, int64_t stage_id, const std::string& status,
                  const std::vector<LineageItem>& outputs) {
  Transaction transaction(database);
  database.execute("UPDATE stages SET status = ?, finished = ? WHERE id = ?", status,
                   unix_seconds(), stage_id);
  add_items(database, stage_id, "output", outputs);
  transaction.commit();
}

void set_stage_status(Database& database, int64_t stage_id, const std::string& status) {
  database.execute("UPDATE stages SET status = ? WHERE id = ?", status, stage_id);
}

std::optional<StageRow> find_stage(Database& database, int64_t run_id, const std::string& name) {
  std::optional<StageRow> stage;
  database.for_each_row(
      "SELECT id, name, subcommand, command, output, status, started, finished FROM stages"
      " WHERE run_id = ? AND name = ? AND status <> 'set aside' ORDER BY id",
      [&](Statement& row) {
        stage = {row.get<int64_t>(0),     row.get<std::string>(1),          row.get<std::string>(2),
                 row.get<std::string>(3), row.get<std::string>(4),          row.get<std::string>(5),
                 row.get<double>(6),      row.get<std::optional<double>>(7)};
      },
      run_id, name);
  return stage;
}

std::string path_fingerprint(const fs::path& path) {
  if (fs::is_regular_file(path)) return fingerprint(file_digest(path));
  if (!fs::is_directory(path))
    throw UserError({.what = "the file or folder does not exist", .where = path.string()});
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::string text;
  for (const fs::path& file : files)
    text += file.filename().string() + "\n" + file_digest(file) + "\n";
  return fingerprint(text);
}

}  // namespace temper
