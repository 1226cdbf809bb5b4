#include "data/sqlite.h"

#include <cmath>
#include <fstream>
#include <limits>

#include "data/store_blobs.h"
#include "tests/data/store_fixture.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

TEST_CASE("sqlite binds and reads every type back") {
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  db.run_script("CREATE TABLE t (i, r, s, b, n, e, eb, f)");
  const std::vector<int32_t> ids{1, -2, 2147483647};
  const std::string text("a\0b", 3);
  db.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", std::numeric_limits<int64_t>::min(),
             0.1, text, as_blob(std::span<const int32_t>(ids)), std::optional<int>(),
             std::string_view(), Blob(), true);
  int rows = 0;
  db.for_each_row("SELECT * FROM t", [&](Statement& row) {
    ++rows;
    REQUIRE(row.get<int64_t>(0) == std::numeric_limits<int64_t>::min());
    REQUIRE(row.get<double>(1) == 0.1);
    REQUIRE(row.get<std::string>(2) == text);
    REQUIRE(from_blob<int32_t>(row.get<Blob>(3)) == ids);
    REQUIRE(row.get<std::optional<double>>(4) == std::nullopt);
    REQUIRE(row.type(5) == SqlType::text);
    REQUIRE(row.get<std::string_view>(5).empty());
    REQUIRE(row.type(6) == SqlType::blob);
    REQUIRE(row.get<Blob>(6).empty());
    REQUIRE(row.get<bool>(7));
  });
  REQUIRE(rows == 1);
  REQUIRE(db.value<uint64_t>("SELECT ?", std::numeric_limits<uint64_t>::max()) ==
          std::numeric_limits<uint64_t>::max());
  REQUIRE(db.value<int>("SELECT 1 WHERE 0") == std::nullopt);
}

TEST_CASE("sqlite keeps a NaN as NULL and gives it back as NaN") {
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  REQUIRE(db.value<std::string>("SELECT typeof(?)", std::nan("")) == "null");
  REQUIRE(std::isnan(*db.value<double>("SELECT ?", std::nan(""))));
  const double infinity = std::numeric_limits<double>::infinity();
  REQUIRE(db.value<double>("SELECT ?", infinity) == infinity);
}

TEST_CASE("sqlite errors hold SQLite's words, the file and the SQL") {
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  try {
    db.execute("SELECT x FROM nowhere");
    FAIL("no error");
  } catch (const SqliteError& error) {
    const std::string message = error.what();
    REQUIRE(message.find("no such table: nowhere") != std::string::npos);
    REQUIRE(message.find("a.db") != std::string::npos);
    REQUIRE(message.find("SELECT x FROM nowhere") != std::string::npos);
  }
  db.run_script("CREATE TABLE t (x UNIQUE)");
  db.execute("INSERT INTO t VALUES (?)", 1);
  REQUIRE_THROWS_AS(db.execute("INSERT INTO t VALUES (?)", 1), SystemError);
  db.execute("INSERT INTO t VALUES (?)", 2);  // the cached statement is usable after an error
  REQUIRE(db.value<int>("SELECT count(*) FROM t") == 2);
}

TEST_CASE("sqlite refuses an absent file and a file that is no database") {
  const TemporaryFolder folder;
  REQUIRE_THROWS_AS(Database(folder.path() / "none.db", OpenMode::write), UserError);
  REQUIRE_THROWS_AS(Database(folder.path() / "none.db", OpenMode::read_only), UserError);
  std::ofstream(folder.path() / "text.db")
      << "this is a text of no particular interest, long enough "
         "to be taken for the header of a database file, or not";
  REQUIRE_THROWS_AS(Database(folder.path() / "text.db", OpenMode::write), UserError);
  REQUIRE_THROWS_AS(Database(folder.path() / "text.db", OpenMode::read_only), UserError);
}

TEST_CASE("sqlite says of a damaged file what can be done, and not a page of SQL") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.db";
  {
    Database db(file, OpenMode::create);
    db.run_script("CREATE TABLE t (x)");
    for (int i = 0; i < 20; ++i) db.execute("INSERT INTO t VALUES (?)", std::string(5000, 'a'));
  }
  {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(16384);
    bytes << std::string(60000, '\xff');
  }
  Database db(file, OpenMode::read_only);
  const std::string sql = "SELECT sum(length(x)) FROM t --" + std::string(3000, 'z');
  try {
    db.value<int64_t>(sql);
    FAIL("no error");
  } catch (const SqliteError& error) {
    const std::string text = error.what();
    CHECK(text.find(".recover") != std::string::npos);
    CHECK(text.size() < 800);
  }
}

TEST_CASE("sqlite transactions roll back unless committed") {
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  db.run_script("CREATE TABLE t (x)");
  {
    Transaction transaction(db);
    db.execute("INSERT INTO t VALUES (1)");
  }
  REQUIRE(db.value<int>("SELECT count(*) FROM t") == 0);
  {
    Transaction transaction(db);
    db.execute("INSERT INTO t VALUES (1)");
    transaction.commit();
    REQUIRE_THROWS_AS(transaction.commit(), ContractError);
  }
  REQUIRE(db.value<int>("SELECT count(*) FROM t") == 1);
}

TEST_CASE("sqlite lets one writer wait for the other no longer than it was told") {
  const TemporaryFolder folder;
  Database first(folder.path() / "a.db", OpenMode::create);
  Database second(folder.path() / "a.db", OpenMode::write, 10);
  const Transaction transaction(first);
  REQUIRE_THROWS_AS(Transaction(second), SqliteError);
}

TEST_CASE("sqlite read-only connections cannot write") {
  const TemporaryFolder folder;
  Database writer(folder.path() / "a?b#c%d.db", OpenMode::create);
  writer.run_script("CREATE TABLE t (x)");
  Database reader(folder.path() / "a?b#c%d.db", OpenMode::read_only);
  REQUIRE_THROWS_AS(reader.execute("INSERT INTO t VALUES (1)"), SqliteError);
  REQUIRE(reader.value<int>("SELECT count(*) FROM t") == 0);
}

TEST_CASE("sqlite cached statements refuse to be used inside their own rows") {
  const TemporaryFolder folder;
  Database db(folder.path() / "a.db", OpenMode::create);
  const auto again = [&](Statement&) { db.execute("SELECT 1 UNION SELECT 2"); };
  REQUIRE_THROWS_AS(db.for_each_row("SELECT 1 UNION SELECT 2", again), ContractError);
  db.execute("SELECT 1 UNION SELECT 2");
}
