// A SQLite connection and its transactions. sqlite3.h is seen by sqlite.cc only.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/sqlite_statement.h"

namespace temper {

enum class OpenMode {
  create,     // read and write; made if absent
  write,      // read and write; must exist
  read_only,  // cannot write; sees the last committed state
};

// A connection. Move-only; used by one thread at a time.
// Written with a write-ahead log, so that readers of other processes never wait and never block;
// synchronous=FULL, so that a commit that has returned survives a power cut; foreign keys on.
class Database {
 public:
  // Throws UserError if the file is absent or not a SQLite database, SqliteError otherwise.
  Database(const std::filesystem::path& path, OpenMode mode, int busy_timeout_ms = 10000);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // A copy of all its pages in a temporary file that goes with the connection, to be changed at
  // will; path() is still the original's. Throws SqliteError.
  Database private_copy() const;

  const std::filesystem::path& path() const { return path_; }
  bool read_only() const { return mode_ == OpenMode::read_only; }

  // Compiles `sql`. Throws SqliteError.
  Statement prepare(std::string_view sql) const;
  // The statement of this text, compiled once for the connection. It must not be busy.
  Statement& cached(std::string_view sql);
  // Runs all statements of a text without parameters. Throws SqliteError.
  void run_script(const std::string& sql);

  // Runs one statement, cached, with its parameters in order. Throws SqliteError.
  template <class... Values>
  void execute(std::string_view sql, const Values&... values) {
    Statement& statement = cached(sql);
    statement.bind_all(values...);
    statement.run();
  }
  // Calls on_row(Statement&) for each row; on_row must not run the same SQL text.
  template <class OnRow, class... Values>
  void for_each_row(std::string_view sql, OnRow&& on_row, const Values&... values) {
    Statement& statement = cached(sql);
    const ResetAtEnd guard{statement};
    statement.bind_all(values...);
    while (statement.step()) on_row(statement);
  }
  // The first column of the first row, if there is a row.
  template <class T, class... Values>
  std::optional<T> value(std::string_view sql, const Values&... values) {
    std::optional<T> result;
    for_each_row(
        sql,
        [&](Statement& row) {
          if (!result) result = row.get<T>(0);
        },
        values...);
    return result;
  }

  int64_t last_insert_id() const;
  int64_t changes() const;  // rows changed by the last statement
  bool in_transaction() const;

 private:
  explicit Database(std::filesystem::path of) : path_(std::move(of)), mode_(OpenMode::write) {}
  struct Closer {
    void operator()(sqlite3* connection) const;
  };
  struct ResetAtEnd {
    Statement& statement;
    ~ResetAtEnd() { statement.reset(); }
  };
  struct TextHash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  void open(const std::string& name, int flags, int busy_timeout_ms);
  void configure_reader(int busy_timeout_ms);
  void configure_writer();

  std::filesystem::path path_;
  OpenMode mode_;
  std::unique_ptr<sqlite3, Closer> handle_;
  std::unordered_map<std::string, std::unique_ptr<Statement>, TextHash, std::equal_to<>> cache_;
};

// A write transaction (BEGIN IMMEDIATE), rolled back unless committed. Not movable.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Throws SqliteError; the transaction is then still open and rolls back at its end.
  void commit();
  void rollback();
  bool open() const { return open_; }

 private:
  Database* database_;
  bool open_ = true;
};

}  // namespace temper
