#include "core/linear_regex.h"

#include <re2/re2.h>

#include "core/error.h"

namespace temper {
namespace {

RE2::Options options_of(bool ignore_case) {
  RE2::Options options;
  options.set_case_sensitive(!ignore_case);
  options.set_log_errors(false);
  options.set_max_mem(8 << 20);
  return options;
}

re2::StringPiece piece(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

struct LinearRegex::Impl {
  RE2 code;
};

LinearRegex::LinearRegex(std::string_view pattern, const std::string& where, bool ignore_case)
    : impl_(new Impl{RE2(piece(pattern), options_of(ignore_case))}) {
  if (impl_->code.ok()) return;
  throw UserError({.what = "the regular expression does not compile: " + impl_->code.error(),
                   .where = where,
                   .expected = "RE2's syntax: no back-references, no look-around",
                   .found = std::string(pattern)});
}

LinearRegex::~LinearRegex() = default;
LinearRegex::LinearRegex(LinearRegex&&) noexcept = default;
LinearRegex& LinearRegex::operator=(LinearRegex&&) noexcept = default;

LinearRegex::Groups LinearRegex::search(std::string_view text, size_t from) const {
  const int count = impl_->code.NumberOfCapturingGroups() + 1;
  std::vector<re2::StringPiece> found(static_cast<size_t>(count));
  Groups groups;
  if (!impl_->code.Match(piece(text), from, text.size(), RE2::UNANCHORED, found.data(), count)) {
    return groups;
  }
  for (const re2::StringPiece& group : found) {
    groups.emplace_back();
    if (group.data() != nullptr) groups.back() = std::string_view(group.data(), group.size());
  }
  return groups;
}

std::vector<LinearRegex::Groups> LinearRegex::search_all(std::string_view text) const {
  std::vector<Groups> all;
  for (size_t from = 0; from <= text.size();) {
    Groups groups = search(text, from);
    if (groups.empty()) break;
    const std::string_view whole = *groups[0];
    const size_t end = static_cast<size_t>(whole.data() - text.data()) + whole.size();
    from = whole.empty() ? end + 1 : end;
    all.push_back(std::move(groups));
  }
  return all;
}

bool LinearRegex::matches(std::string_view text) const {
  return impl_->code.Match(piece(text), 0, text.size(), RE2::ANCHOR_BOTH, nullptr, 0);
}

}  // namespace temper
