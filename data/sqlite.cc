#include "data/sqlite.h"

#include <sqlite3.h>

#include <limits>

namespace temper {
namespace {

[[noreturn]] void throw_sqlite(sqlite3* connection, int code, std::string_view sql) {
  std::string message = "SQLite: ";
  message += connection ? sqlite3_errmsg(connection) : sqlite3_errstr(code);
  if (connection) code = sqlite3_extended_errcode(connection);
  const char* path = connection ? sqlite3_db_filename(connection, "main") : nullptr;
  if (path && *path) message += std::string("\n  database: ") + path;
  constexpr size_t kShown = 240;
  if (!sql.empty()) message += "\n  sql:      " + std::string(sql.substr(0, kShown));
  if (sql.size() > kShown) message += " ...";
  const int primary = code & 0xff;
  if (primary == SQLITE_BUSY) message += "\n  hint:     another process is writing; end it or wait";
  if (primary == SQLITE_FULL) message += "\n  hint:     the disk is full; free some space";
  if (primary == SQLITE_CORRUPT)
    message +=
        "\n  hint:     the file is damaged: bring it back from a copy, or save what can be read "
        "with"
        " sqlite3 run.db .recover; checkpoints have their own checksums and are model folders";
  if (primary == SQLITE_IOERR)
    message +=
        "\n  hint:     the disk failed or a limit was reached: free some space (or raise the limit "
        "on "
        "files)";
  throw SqliteError(message, code);
}

// A file: URI needs these three escaped; all else may stand.
std::string uri_of(const std::filesystem::path& path, const char* query) {
  std::string uri = "file:";
  for (const char c : std::filesystem::absolute(path).string()) {
    if (c == '?')
      uri += "%3f";
    else if (c == '#')
      uri += "%23";
    else if (c == '%')
      uri += "%25";
    else
      uri += c;
  }
  return uri + query;
}

}  // namespace

// ---- Statement
// -----------------------------------------------------------------------------------

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Statement::Statement(sqlite3* connection, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int code = sqlite3_prepare_v3(connection, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, &tail);
  if (code != SQLITE_OK) throw_sqlite(connection, code, sql);
  if (statement == nullptr) throw SqliteError("SQLite: the text holds no statement", SQLITE_MISUSE);
  handle_.reset(statement);
  if (tail) rest_.assign(tail, sql.data() + sql.size());
}

void Statement::check(int code) const {
  if (code == SQLITE_OK) return;
  const char* sql = sqlite3_sql(handle_.get());
  throw_sqlite(sqlite3_db_handle(handle_.get()), code, sql ? sql : "");
}

void Statement::bind(int index, std::nullptr_t) {
  check(sqlite3_bind_null(handle_.get(), index));
}

void Statement::bind_int(int index, int64_t value) {
  check(sqlite3_bind_int64(handle_.get(), index, value));
}

void Statement::bind(int index, double value) {
  check(sqlite3_bind_double(handle_.get(), index, value));
}

void Statement::bind(int index, std::string_view text) {
  const char* data = text.data() ? text.data() : "";  // a null pointer would bind NULL
  check(sqlite3_bind_text64(handle_.get(), index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

void Statement::bind(int index, Blob blob) {
  if (blob.empty()) return check(sqlite3_bind_zeroblob(handle_.get(), index, 0));
  check(sqlite3_bind_blob64(handle_.get(), index, blob.data(), blob.size(), SQLITE_STATIC));
}

bool Statement::step() {
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  try {
    check(code);
  } catch (...) {
    reset();
    throw;
  }
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

void Statement::reset() {
  sqlite3_reset(handle_.get());  // repeats the error of the step, which was thrown already
  sqlite3_clear_bindings(handle_.get());
}

bool Statement::busy() const {
  return sqlite3_stmt_busy(handle_.get()) != 0;
}
bool Statement::read_only() const {
  return sqlite3_stmt_readonly(handle_.get()) != 0;
}
int Statement::column_count() const {
  return sqlite3_column_count(handle_.get());
}

std::string Statement::column_name(int column) const {
  return sqlite3_column_name(handle_.get(), column);
}

SqlType Statement::type(int column) const {
  switch (sqlite3_column_type(handle_.get(), column)) {
    case SQLITE_INTEGER:
      return SqlType::integer;
    case SQLITE_FLOAT:
      return SqlType::real;
    case SQLITE_TEXT:
      return SqlType::text;
    case SQLITE_BLOB:
      return SqlType::blob;
    default:
      return SqlType::null;
  }
}

int64_t Statement::get_int(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

double Statement::get_double(int column) const {
  // SQLite keeps a NaN as NULL; a caller who asks for a number gets it back.
  if (is_null(column)) return std::numeric_limits<double>::quiet_NaN();
  return sqlite3_column_double(handle_.get(), column);
}

std::string_view Statement::get_text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
  return {text ? text : "", static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

Blob Statement::get_blob(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(handle_.get(), column));
  return {data, static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

// ---- Database
// ------------------------------------------------------------------------------------

void Database::Closer::operator()(sqlite3* connection) const {
  sqlite3_close_v2(connection);
}

Database::Database(const std::filesystem::path& path, OpenMode mode, int busy_timeout_ms)
    : path_(path), mode_(mode) {
  std::error_code ignored;
  if (mode != OpenMode::create && !std::filesystem::is_regular_file(path, ignored)) {
    throw UserError({.what = "no such database",
                     .where = path.string(),
                     .hint = "give a run directory (which holds run.db) or the file itself"});
  }
  try {
    if (mode == OpenMode::read_only) {
      configure_reader(busy_timeout_ms);
    } else {
      const int create = mode == OpenMode::create ? SQLITE_OPEN_CREATE : 0;
      open(path.string(), SQLITE_OPEN_READWRITE | create, busy_timeout_ms);
      configure_writer();
    }
  } catch (const SqliteError& error) {
    if ((error.code() & 0xff) != SQLITE_NOTADB) throw;
    throw UserError({.what = "the file is not a SQLite database",
                     .where = path.string(),
                     .hint = "give the run directory that was the --out of a run, or bring the "
                             "file back from a copy"});
  }
}

Database Database::private_copy() const {
  Database copy(path_);
  copy.open("", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, 0);
  sqlite3_backup* backup = sqlite3_backup_init(copy.handle_.get(), "main", handle_.get(), "main");
  if (backup != nullptr) {
    sqlite3_backup_step(backup, -1);  // its error is the connection's
    sqlite3_backup_finish(backup);
  }
  const int code = sqlite3_extended_errcode(copy.handle_.get());
  if (code != SQLITE_OK) throw_sqlite(copy.handle_.get(), code, "copy " + path_.string());
  return copy;
}

Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() {
  cache_.clear();
}

void Database::open(const std::string& name, int flags, int busy_timeout_ms) {
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &connection, flags, nullptr);
  handle_.reset(connection);  // also after a failure: SQLite leaves a handle that must be closed
  if (code != SQLITE_OK) throw_sqlite(connection, code, "open " + name);
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, busy_timeout_ms);
}

void Database::configure_reader(int busy_timeout_ms) {
  try {
    open(path_.string(), SQLITE_OPEN_READONLY, busy_timeout_ms);
    run_script("SELECT 1 FROM sqlite_schema LIMIT 1");
  } catch (const SqliteError& error) {
    const int primary = error.code() & 0xff;
    if (primary != SQLITE_CANTOPEN && primary != SQLITE_READONLY) throw;
    // A folder that cannot be written has no room for the shared-memory file of the log; nobody
    // can be writing there either, so the file may be read as it stands.
    open(uri_of(path_, "?immutable=1"), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, busy_timeout_ms);
    run_script("SELECT 1 FROM sqlite_schema LIMIT 1");
  }
}

void Database::configure_writer() {
  // The page size only takes in a new file. A sample row with its blobs is 5 to 50 kB.
  run_script("PRAGMA page_size=16384");
  run_script("PRAGMA journal_mode=WAL");
  run_script("PRAGMA synchronous=FULL");
  run_script("PRAGMA foreign_keys=ON");
  // Room for a step's pages, so that they reach the log once, at the commit.
  run_script("PRAGMA cache_size=-65536");
}

Statement Database::prepare(std::string_view sql) const {
  return Statement(handle_.get(), sql);
}

Statement& Database::cached(std::string_view sql) {
  auto found = cache_.find(sql);
  if (found == cache_.end()) {
    found = cache_.emplace(sql, std::make_unique<Statement>(handle_.get(), sql)).first;
  }
  require(!found->second->busy(), "a cached statement is used inside its own rows");
  return *found->second;
}

void Database::run_script(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw_sqlite(handle_.get(), code, sql);
}

int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(handle_.get());
}
int64_t Database::changes() const {
  return sqlite3_changes64(handle_.get());
}
bool Database::in_transaction() const {
  return sqlite3_get_autocommit(handle_.get()) == 0;
}

// ---- Transaction
// ---------------------------------------------------------------------------------

Transaction::Transaction(Database& database) : database_(&database) {
  database.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  try {
    rollback();
  } catch (...) {  // the connection is broken: closing it rolls back as well
  }
}

void Transaction::commit() {
  require(open_, "the transaction is over");
  database_->execute("COMMIT");
  open_ = false;
}

void Transaction::rollback() {
  if (!open_) return;
  open_ = false;
  // A full disk or an I/O error makes SQLite roll back by itself.
  if (database_->in_transaction()) database_->execute("ROLLBACK");
}

}  // namespace temper
