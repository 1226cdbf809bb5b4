// Regular expressions of a user's own on text of a model's own: time is linear in the text,
// whatever both hold. The only file pair that knows RE2.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

// A compiled pattern of RE2's syntax: Perl's without back-references and look-around. `^` and `$`
// are the ends of the text unless the pattern says (?m). Immutable; any number of threads may use
// it.
class LinearRegex {
 public:
  // Throws UserError naming `where` if the pattern does not compile or is too large.
  LinearRegex(std::string_view pattern, const std::string& where, bool ignore_case = false);
  ~LinearRegex();
  LinearRegex(LinearRegex&&) noexcept;
  LinearRegex& operator=(LinearRegex&&) noexcept;

  // The leftmost match at or after `from`: views of `text`, [0] the whole and then the groups; a
  // group that took no part is nullopt. Nothing at all if the pattern does not match.
  using Groups = std::vector<std::optional<std::string_view>>;
  Groups search(std::string_view text, size_t from = 0) const;

  // All matches that do not overlap, from left to right.
  std::vector<Groups> search_all(std::string_view text) const;

  // Whether the whole of `text` matches.
  bool matches(std::string_view text) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace temper
