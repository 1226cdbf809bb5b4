// SQLite statements: compile, bind, step, read typed columns. sqlite3.h is seen by sqlite.cc only.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace temper {

using Blob = std::span<const std::byte>;

// SQLite refused: the message holds its own words, the database's path and the SQL.
class SqliteError : public SystemError {
 public:
  SqliteError(const std::string& message, int code) : SystemError(message), code_(code) {}
  int code() const { return code_; }  // SQLite's extended result code

 private:
  int code_;
};

enum class SqlType { integer, real, text, blob, null };

// A compiled statement. Move-only. Parameters count from 1, columns from 0, as in SQLite.
class Statement {
 public:
  Statement(sqlite3* connection, std::string_view sql);

  // Binds one parameter. Text and blobs are not copied: they must live until the statement has
  // run or is reset. An empty text or blob is stored as empty, not as NULL. A NaN becomes NULL.
  // Throws SqliteError.
  void bind(int index, std::nullptr_t);
  void bind(int index, double value);
  void bind(int index, std::string_view text);
  void bind(int index, Blob blob);
  template <std::integral T>
  void bind(int index, T value) {
    bind_int(index, static_cast<int64_t>(value));
  }
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    value ? bind(index, *value) : bind(index, nullptr);
  }
  template <class... Values>
  void bind_all(const Values&... values) {
    int index = 0;
    (bind(++index, values), ...);
  }

  // Steps to the next row; false (and reset) after the last one. Throws SqliteError (and resets).
  bool step();
  // Steps to the end.
  void run();
  // Ends the statement's read and forgets its bindings.
  void reset();

  bool busy() const;       // between the first row and the last
  bool read_only() const;  // cannot change the database by itself
  int column_count() const;
  std::string column_name(int column) const;  // columns count from 0
  SqlType type(int column) const;             // of the present row
  bool is_null(int column) const { return type(column) == SqlType::null; }
  // What follows the first statement in the text that was compiled.
  const std::string& rest() const { return rest_; }

  // The value of a column of the current row as T: an integer type, double, float, bool,
  // std::string, std::string_view, Blob (views live until the next step), std::optional of one.
  template <class T>
  T get(int column) const;

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  void bind_int(int index, int64_t value);
  void check(int code) const;
  int64_t get_int(int column) const;
  double get_double(int column) const;
  std::string_view get_text(int column) const;
  Blob get_blob(int column) const;

  std::unique_ptr<sqlite3_stmt, Finalizer> handle_;
  std::string rest_;
};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
T Statement::get(int column) const {
  if constexpr (IsOptional<T>::value) {
    if (is_null(column)) return std::nullopt;
    return get<typename T::value_type>(column);
  } else if constexpr (std::is_same_v<T, bool>) {
    return get_int(column) != 0;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(get_int(column));
  } else if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(get_double(column));
  } else if constexpr (std::is_same_v<T, Blob>) {
    return get_blob(column);
  } else {
    return T(get_text(column));
  }
}

}  // namespace temper
