#include "data/migrations.h"

#include <string>

namespace temper {
namespace {

void refuse_foreign(Database& database) {
  const int id = database.value<int>("PRAGMA application_id").value_or(0);
  if (id == kApplicationId) return;
  const bool empty =
      !database.value<int>("SELECT 1 FROM sqlite_schema LIMIT 1") && schema_version(database) == 0;
  if (empty && id == 0) return;
  throw UserError({.what = "this SQLite database is not a Temper run's",
                   .where = database.path().string(),
                   .expected = "a run.db that temper made",
                   .hint = "give the run directory that was the --out of a run"});
}

void refuse_newer(Database& database, int version, int known) {
  if (version <= known) return;
  throw UserError({.what = "the database is newer than this temper",
                   .where = database.path().string(),
                   .expected = "schema " + std::to_string(known) + " or older",
                   .found = "schema " + std::to_string(version),
                   .hint = "use the temper that wrote it, or a later one"});
}

int newest(std::span<const Migration> migrations) {
  return migrations.empty() ? 0 : migrations.back().version;
}

}  // namespace

int schema_version(Database& database) {
  return database.value<int>("PRAGMA user_version").value_or(0);
}

void refuse_unknown(Database& database, std::span<const Migration> migrations) {
  refuse_foreign(database);
  refuse_newer(database, schema_version(database), newest(migrations));
}

void migrate(Database& database, std::span<const Migration> migrations) {
  refuse_unknown(database, migrations);
  for (size_t i = 0; i < migrations.size(); ++i) {
    const Migration& migration = migrations[i];
    require(migration.version == static_cast<int>(i) + 1, "migrations are numbered from 1");
    if (schema_version(database) >= migration.version) continue;
    Transaction transaction(database);
    // Another process may have been faster between the look and the lock.
    if (schema_version(database) >= migration.version) continue;
    database.run_script(std::string(migration.sql));
    database.run_script("PRAGMA user_version=" + std::to_string(migration.version));
    database.run_script("PRAGMA application_id=" + std::to_string(kApplicationId));
    transaction.commit();
  }
}

void check_schema(Database& database, std::span<const Migration> migrations) {
  refuse_unknown(database, migrations);
  const int version = schema_version(database), known = newest(migrations);
  if (version == known) return;
  throw UserError(
      {.what = "the database is older than this temper",
       .where = database.path().string(),
       .expected = "schema " + std::to_string(known),
       .found = "schema " + std::to_string(version),
       .hint = "bring it forward with: temper inspect migrate " + database.path().string()});
}

}  // namespace temper
