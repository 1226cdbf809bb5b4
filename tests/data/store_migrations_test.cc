#include "data/migrations.h"

#include <array>

#include "data/store_reader.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

constexpr std::array kThree = {
    Migration{1, "one", "CREATE TABLE t (x);"},
    Migration{2, "two", "ALTER TABLE t ADD COLUMN y; UPDATE t SET y = x + 1;"},
    Migration{3, "three", "CREATE INDEX t_by_y ON t(y);"},
};
const std::span<const Migration> kAll(kThree);

// Everything SQLite keeps of the schema, in the order of names.
std::string schema_text(Database& db) {
  std::string text;
  db.for_each_row("SELECT name, sql FROM sqlite_schema ORDER BY name", [&](Statement& row) {
    text += row.get<std::string>(0) + ": " + row.get<std::string>(1) + "\n";
  });
  return text;
}

}  // namespace

TEST_CASE("migrations bring every older version to the newest with its rows") {
  for (size_t start = 1; start <= kThree.size(); ++start) {
    const TemporaryFolder folder;
    Database db(folder.path() / "a.db", OpenMode::create);
    migrate(db, kAll.first(start));
    REQUIRE(schema_version(db) == static_cast<int>(start));
    db.execute("INSERT INTO t (x) VALUES (41)");
    migrate(db, kAll);
    REQUIRE(schema_version(db) == 3);
    REQUIRE(db.value<int>("SELECT x FROM t") == 41);
    if (start < 2) REQUIRE(db.value<int>("SELECT y FROM t") == 42);
  }
}

TEST_CASE("migrations leave a failed step and its number undone") {
  constexpr std::array broken = {
      Migration{1, "one", "CREATE TABLE t (x);"},
      Migration{2, "two", "CREATE TABLE u (x); CREATE TABLE t (again);"},
  };
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  REQUIRE_THROWS_AS(migrate(db, broken), SqliteError);
  REQUIRE(schema_version(db) == 1);
  REQUIRE_FALSE(db.value<int>("SELECT 1 FROM sqlite_schema WHERE name = 'u'"));
  migrate(db, kAll);
  REQUIRE(schema_version(db) == 3);
}

TEST_CASE("migrations refuse a newer database and say so") {
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  migrate(db, kAll);
  try {
    migrate(db, kAll.first(2));
    FAIL("no error");
  } catch (const UserError& error) {
    REQUIRE(error.blame().found == "schema 3");
    REQUIRE(error.blame().expected == "schema 2 or older");
  }
  REQUIRE_THROWS_AS(check_schema(db, kAll.first(2)), UserError);
  check_schema(db, kAll);
}

TEST_CASE("migrations refuse another program's database") {
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  db.run_script("CREATE TABLE bookmarks (url)");
  REQUIRE_THROWS_AS(migrate(db), UserError);
  REQUIRE_THROWS_AS(check_schema(db), UserError);
  REQUIRE(schema_version(db) == 0);
}

TEST_CASE("the store opens a database of every older schema and keeps its rows") {
  const auto all = store_migrations();
  const TemporaryFolder reference_folder;
  const Store fresh(reference_folder.path());
  Database reference(reference_folder.path() / kStoreFile, OpenMode::read_only);
  for (size_t version = 1; version < all.size(); ++version) {
    const TemporaryFolder folder;
    {
      Database old(folder.path() / kStoreFile, OpenMode::create);
      migrate(old, all.first(version));
      old.execute("INSERT INTO runs VALUES (7,'sft','done',1.0,2.0,'m',3,'v','[]','{}','{}','{}')");
    }
    {
      Database copy = open_for_reading(folder.path());
      REQUIRE(schema_version(copy) == all.back().version);
      REQUIRE(read_run(copy, 7)->kind == "sft");
    }
    {
      Database untouched(folder.path() / kStoreFile, OpenMode::read_only);
      REQUIRE(schema_version(untouched) == static_cast<int>(version));
    }
    Store store(folder.path());
    REQUIRE(schema_version(store.database()) == all.back().version);
    REQUIRE(schema_text(store.database()) == schema_text(reference));
    Database db = open_for_reading(folder.path());
    REQUIRE(read_run(db, 7)->kind == "sft");
  }
}
