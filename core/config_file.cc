#include "core/config_file.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "core/did_you_mean.h"
#include "core/error.h"

namespace temper {
namespace {

// A cursor over the text that counts lines.
class Reader {
 public:
  Reader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  std::vector<ConfigEntry> read_all() {
    std::vector<ConfigEntry> entries;
    std::string section;
    for (skip_blank_lines(); !at_end(); skip_blank_lines()) {
      if (take('[')) {
        const int line = line_;
        section = read_name("a section name");
        expect(']', "']' after the section name");
        entries.push_back({section, "", {}, line});
      } else {
        if (!entries.empty() && entries.back().key.empty()) entries.pop_back();
        ConfigEntry entry{section, "", {}, line_};
        entry.key = read_name("a key");
        expect('=', "'=' after the key");
        entry.value = read_value();
        entries.push_back(std::move(entry));
      }
      end_line();
    }
    return entries;
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  char next() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    return c;
  }

  [[noreturn]] void fail(const std::string& what, const std::string& expected) const {
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    const std::string rest(text_.substr(std::min(at_, text_.size()), end - at_));
    throw UserError({what, where_ + ":" + std::to_string(line_), expected,
                     rest.empty() ? "the end of the line" : "'" + rest + "'", ""});
  }

  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\r') next();
  }
  void skip_comment() {
    if (peek() != '#') return;
    while (!at_end() && peek() != '\n') next();
  }
  void skip_blank_lines() {
    for (skip_spaces(), skip_comment(); peek() == '\n'; skip_spaces(), skip_comment()) next();
  }
  bool take(char c) {
    skip_spaces();
    if (peek() != c) return false;
    next();
    return true;
  }
  void expect(char c, const std::string& what) {
    if (!take(c)) fail("cannot read the configuration file", what);
  }
  void end_line() {
    skip_spaces();
    skip_comment();
    if (!at_end() && peek() != '\n') fail("text after the value", "the end of the line");
  }

  std::string read_name(const std::string& what) {
    skip_spaces();
    std::string name;
    if (peek() == '"' || peek() == '\'') name = read_string();
    while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == '-' ||
           peek() == '.') {
      name += next();
    }
    if (name.empty()) fail("cannot read the configuration file", what);
    return name;
  }

  std::string read_string() {
    const char quote = next();
    std::string text;
    while (peek() != quote) {
      if (at_end() || peek() == '\n') fail("a string does not end on its line", "a closing quote");
      const char c = next();
      text += c == '\\' && quote == '"' ? read_escape() : std::string(1, c);
    }
    next();
    return text;
  }

  std::string read_escape() {
    const char c = at_end() ? '\0' : next();
    switch (c) {
      case 'n':
        return "\n";
      case 't':
        return "\t";
      case 'r':
        return "\r";
      case 'b':
        return "\b";
      case 'f':
        return "\f";
      case '"':
        return "\"";
      case '\\':
        return "\\";
      case '/':
        return "/";
      case 'u':
        return read_code_point(4);
      case 'U':
        return read_code_point(8);
      default:
        fail("unknown escape in a string", R"(one of \n \t \r \b \f \" \\ \uXXXX)");
    }
  }

  std::string read_code_point(int digits) {
    uint32_t code = 0;
    for (int i = 0; i < digits; ++i) {
      if (!std::isxdigit(static_cast<unsigned char>(peek()))) {
        fail("a Unicode escape is too short", std::to_string(digits) + " hexadecimal digits");
      }
      const char c = static_cast<char>(std::tolower(next()));
      code = code * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fail("a Unicode escape is no character", "a code point outside D800 to DFFF, up to 10FFFF");
    }
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((code >> shift) & 63)); };
    if (code < 0x80) return {static_cast<char>(code)};
    if (code < 0x800) return {static_cast<char>(0xC0 | code >> 6), tail(0)};
    if (code < 0x10000) return {static_cast<char>(0xE0 | code >> 12), tail(6), tail(0)};
    return {static_cast<char>(0xF0 | code >> 18), tail(12), tail(6), tail(0)};
  }

  ConfigValue read_value() {
    skip_spaces();
    ConfigValue value;
    if (!take('[')) {
      value.items.push_back(read_scalar(&value.kind));
      return value;
    }
    value.list = true;
    for (skip_blank_lines(); !take(']'); skip_blank_lines()) {
      ConfigKind kind = ConfigKind::text;
      value.items.push_back(read_scalar(&kind));
      if (value.items.size() == 1) value.kind = kind;
      if (kind != value.kind) {
        if (!is_number(kind) || !is_number(value.kind)) {
          fail("an array mixes kinds of values", "values of one kind");
        }
        value.kind = ConfigKind::real;  // [0, 0.5]
      }
      skip_blank_lines();
      if (!take(',') && peek() != ']') fail("cannot read the array", "',' or ']'");
    }
    return value;
  }

  static bool is_number(ConfigKind kind) {
    return kind == ConfigKind::integer || kind == ConfigKind::real;
  }

  std::string read_scalar(ConfigKind* kind) {
    *kind = ConfigKind::text;
    if (peek() == '"' || peek() == '\'') return read_string();
    std::string word;
    while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == '-' ||
           peek() == '+' || peek() == '.') {
      word += next();
    }
    if (word == "true" || word == "false") {
      *kind = ConfigKind::boolean;
    } else if (!word.empty() && word.find_first_not_of("+-_0123456789") == std::string::npos) {
      *kind = ConfigKind::integer;
    } else if (!word.empty() && word.find_first_not_of("+-_.eE0123456789") == std::string::npos) {
      *kind = ConfigKind::real;
    } else {
      at_ -= word.size();
      fail("cannot read the value", "a \"quoted string\", a number, true, false or an [array]");
    }
    return word;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
  int line_ = 1;
};

const char* kind_text(OptionKind kind) {
  switch (kind) {
    case OptionKind::text:
    case OptionKind::choice:
      return "a \"quoted string\"";
    case OptionKind::integer:
      return "a whole number";
    case OptionKind::real:
      return "a number";
    case OptionKind::boolean:
      return "true or false";
    case OptionKind::text_list:
      return "an array of \"quoted strings\"";
    case OptionKind::integer_list:
      return "an array of whole numbers";
  }
  return "";
}

bool fits(const Option& option, const ConfigValue& value) {
  if (option.is_list() != value.list) return false;
  if (value.list && value.items.empty()) return true;
  switch (option.kind()) {
    case OptionKind::text:
    case OptionKind::choice:
    case OptionKind::text_list:
      return value.kind == ConfigKind::text;
    case OptionKind::integer:
    case OptionKind::integer_list:
      return value.kind == ConfigKind::integer;
    case OptionKind::real:
      return value.kind == ConfigKind::real || value.kind == ConfigKind::integer;
    case OptionKind::boolean:
      return value.kind == ConfigKind::boolean;
  }
  return false;
}

}  // namespace

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& where) {
  return Reader(text, where).read_all();
}

void apply_config(OptionsTable& table, const std::vector<ConfigEntry>& entries,
                  const std::string& where, const std::string& section,
                  const std::vector<std::string>& others) {
  std::map<std::string, int> seen;  // key -> line
  for (const ConfigEntry& entry : entries) {
    const std::string place = where + ":" + std::to_string(entry.line);
    if (!entry.section.empty() && entry.section != section) {
      if (std::find(others.begin(), others.end(), entry.section) != others.end()) continue;
      std::vector<std::string> known = others;
      known.push_back(section);
      throw UserError({"unknown section of the configuration file", place, "",
                       "[" + entry.section + "]", did_you_mean(entry.section, known)});
    }
    if (entry.key.empty()) continue;  // the section has no keys
    Option* option = table.find_key(entry.key);
    if (option == nullptr) {
      throw UserError({"unknown configuration key", place, "", "'" + entry.key + "'",
                       did_you_mean(entry.key, table.keys())});
    }
    const auto [first, fresh] = seen.emplace(entry.key, entry.line);
    if (!fresh) {
      throw UserError({"configuration key given twice", place, "", "'" + entry.key + "'",
                       "it already stands in line " + std::to_string(first->second)});
    }
    if (!fits(*option, entry.value)) {
      std::string found = entry.value.list ? "an array" : "'" + entry.value.items[0] + "'";
      throw UserError({"wrong kind of value for " + entry.key, place, kind_text(option->kind()),
                       std::move(found), ""});
    }
    option->set(entry.value.items, place, OptionOrigin::file);
  }
}

}  // namespace temper
