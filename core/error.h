// Errors by blame: whose fault it is decides the type, the exit code and what the message says.
// Expected outcomes (an unparsable answer, an empty group) are values, never exceptions.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace temper {

// What a person needs to mend a bad input. Empty fields are left out of the message.
struct Blame {
  std::string what = {};      // what is wrong, one clause: "unknown configuration key"
  std::string where = {};     // the file and line, flag or tensor: "train.jsonl:17"
  std::string expected = {};  // "one of sigmoid, softmax"
  std::string found = {};     // "sigmoyd"
  std::string hint = {};      // what to do: "did you mean 'sigmoid'?"
};

// The user's input is wrong: a flag, a file, a configuration. Exit code 2.
class UserError : public std::runtime_error {
 public:
  explicit UserError(Blame blame);
  const Blame& blame() const { return blame_; }

 private:
  Blame blame_;
};

// The machine or a library failed: I/O, SQLite, CUDA, NCCL. Exit code 1.
class SystemError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A promise inside Temper was broken: our bug. Exit code 70.
class ContractError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Throws SystemError "<what>: <strerror(errno)>".
[[noreturn]] void throw_errno(const std::string& what);

// Throws ContractError with the caller's place in the source if `holds` is false.
// For programmer's errors only: no user input may reach a failing require.
void require(bool holds, std::string_view message,
             std::source_location where = std::source_location::current());

// The known name nearest to `name` by edit distance, or "" if none is near enough to suggest.
std::string nearest_name(std::string_view name, const std::string* known, size_t count);

}  // namespace temper
