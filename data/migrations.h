// The schema of a run's database as numbered steps forward. PRAGMA user_version holds the number.
#pragma once

#include <span>
#include <string_view>

#include "data/sqlite.h"

namespace temper {

// Marks the file as Temper's ("TMPR"; PRAGMA application_id), so that another program's database
// is never changed by mistake.
constexpr int kApplicationId = 0x544D5052;

// One step forward: from schema `version - 1` to `version`. Never changed once released.
struct Migration {
  int version;
  std::string_view summary;
  std::string_view sql;
};

// All migrations of a run's database, in order, from version 1.
std::span<const Migration> store_migrations();

// The schema number of the database; 0 is an empty file.
int schema_version(Database& database);

// Applies what the database lacks of `migrations`. Each step and its number commit together, so
// an interrupted migration goes on where it stopped. Safe when two processes do it at once.
// Throws UserError if the file is another program's or newer than `migrations`; SqliteError.
void migrate(Database& database, std::span<const Migration> migrations = store_migrations());

// Throws UserError if the file is another program's or newer than `migrations`; an empty file and
// an older database pass.
void refuse_unknown(Database& database, std::span<const Migration> migrations = store_migrations());

// Holds if the database can be read as it stands. Throws UserError if the file is another
// program's, newer than `migrations`, or older (the hint says how to bring it forward).
void check_schema(Database& database, std::span<const Migration> migrations = store_migrations());

}  // namespace temper
