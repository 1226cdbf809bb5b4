#include "reward/math/notation.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace temper {
namespace {

using enum TokenKind;

struct Entry {
  std::string_view name;
  Notation meaning;
};

constexpr bool by_name(const Entry& a, const Entry& b) {
  return a.name < b.name;
}

template <size_t N>
constexpr std::array<Entry, N> sorted(std::array<Entry, N> entries) {
  std::sort(entries.begin(), entries.end(), by_name);
  return entries;
}

template <size_t N>
std::optional<Notation> look_up(const std::array<Entry, N>& entries, std::string_view name) {
  const auto at = std::lower_bound(entries.begin(), entries.end(), Entry{name, {}}, by_name);
  if (at == entries.end() || at->name != name) return std::nullopt;
  return at->meaning;
}

// Commands whose own name is the token's text.
constexpr std::string_view kGreek[] = {
    "alpha", "beta",    "gamma",  "delta", "epsilon", "zeta",    "eta",   "theta",
    "iota",  "kappa",   "lambda", "mu",    "nu",      "xi",      "rho",   "sigma",
    "tau",   "upsilon", "phi",    "chi",   "psi",     "omega",   "Gamma", "Delta",
    "Theta", "Lambda",  "Xi",     "Pi",    "Sigma",   "Upsilon", "Phi",   "Psi",
    "Omega", "ell",     "hbar",   "angle", "triangle"};
constexpr std::string_view kFunctions[] = {
    "sin",    "cos",    "tan",    "cot",  "sec",     "csc",     "arcsin",  "arccos", "arctan",
    "arccot", "arcsec", "arccsc", "sinh", "cosh",    "tanh",    "coth",    "ln",     "log",
    "lg",     "exp",    "sqrt",   "min",  "max",     "gcd",     "lcm",     "arsinh", "arcosh",
    "artanh", "det",    "floor",  "ceil", "arcsinh", "arccosh", "arctanh", "sum",    "prod"};
constexpr std::string_view kSkipped[] = {"left",
                                         "right",
                                         "big",
                                         "Big",
                                         "bigg",
                                         "Bigg",
                                         "bigl",
                                         "bigr",
                                         "Bigl",
                                         "Bigr",
                                         "middle",
                                         "mleft",
                                         "mright",
                                         "limits",
                                         "displaystyle",
                                         "textstyle",
                                         "quad",
                                         "qquad",
                                         ",",
                                         ";",
                                         ":",
                                         "!",
                                         " ",
                                         "thinspace",
                                         "hfill",
                                         "nolimits",
                                         "/",
                                         ">",
                                         "biggl",
                                         "biggr",
                                         "Biggl",
                                         "Biggr",
                                         "enspace",
                                         "scriptstyle",
                                         "therefore",
                                         "strut",
                                         "negthinspace",
                                         "hline",
                                         "allowbreak",
                                         "rm",
                                         "it",
                                         "bf",
                                         "tiny",
                                         "small",
                                         "normalsize",
                                         "large",
                                         "Large",
                                         "LARGE",
                                         "huge",
                                         "Huge"};
constexpr std::string_view kDecorations[] = {"overline", "vec",       "hat",       "bar",
                                             "tilde",    "underline", "widehat",   "overrightarrow",
                                             "dot",      "ddot",      "widetilde", "overbrace"};
constexpr std::string_view kFonts[] = {
    "mathbf", "mathit", "mathcal", "mathsf", "mathfrak", "boldsymbol",   "mathscr",
    "bm",     "mathtt", "mathbb",  "boxed",  "fbox",     "displaylines", "mathop"};

constexpr Entry kNamed[] = {
    {"frac", {fraction, "frac"}},
    {"dfrac", {fraction, "frac"}},
    {"tfrac", {fraction, "frac"}},
    {"cfrac", {fraction, "frac"}},
    {"binom", {binomial, "binom"}},
    {"dbinom", {binomial, "binom"}},
    {"tbinom", {binomial, "binom"}},
    {"pi", {constant, "pi"}},
    {"infty", {infinity, ""}},
    {"cdot", {times, ""}},
    {"times", {times, ""}},
    {"ast", {times, ""}},
    {"cdotp", {times, ""}},
    {"div", {divide, ""}},
    {"pm", {plus_minus, ""}},
    {"mp", {minus_plus, ""}},
    {"le", {relation, "<="}},
    {"leq", {relation, "<="}},
    {"leqslant", {relation, "<="}},
    {"leqq", {relation, "<="}},
    {"ge", {relation, ">="}},
    {"geq", {relation, ">="}},
    {"geqslant", {relation, ">="}},
    {"geqq", {relation, ">="}},
    {"lt", {relation, "<"}},
    {"gt", {relation, ">"}},
    {"ne", {relation, "!="}},
    {"neq", {relation, "!="}},
    {"approx", {relation, "~"}},
    {"thickapprox", {relation, "~"}},
    {"in", {element_of, ""}},
    {"cup", {unite, ""}},
    {"bigcup", {unite, ""}},
    {"cap", {intersect, ""}},
    {"setminus", {set_minus, ""}},
    {"backslash", {set_minus, ""}},
    {"emptyset", {empty_set, ""}},
    {"varnothing", {empty_set, ""}},
    {"{", {open_brace, ""}},
    {"}", {close_brace, ""}},
    {"lbrace", {open_brace, ""}},
    {"rbrace", {close_brace, ""}},
    {"lbrack", {open_bracket, ""}},
    {"rbrack", {close_bracket, ""}},
    {"langle", {open_angle, ""}},
    {"rangle", {close_angle, ""}},
    {"lfloor", {open_floor, ""}},
    {"rfloor", {close_floor, ""}},
    {"lceil", {open_ceiling, ""}},
    {"rceil", {close_ceiling, ""}},
    {"vert", {bar, ""}},
    {"lvert", {bar, ""}},
    {"rvert", {bar, ""}},
    {"mid", {bar, ""}},
    {"%", {percent, ""}},
    {"$", {currency, "$"}},
    {"circ", {degree, ""}},
    {"degree", {degree, ""}},
    {"prime", {prime, ""}},
    {"&", {column_break, ""}},
    {"\\", {row_break, ""}},
    {"cr", {row_break, ""}},
    {"land", {conjunction, "and"}},
    {"lor", {conjunction, "or"}},
    {"wedge", {conjunction, "and"}},
    {"vee", {conjunction, "or"}},
    {"pounds", {currency, "\xC2\xA3"}},
    {"euro", {currency, "\xE2\x82\xAC"}},
    {"varepsilon", {symbol, "epsilon"}},
    {"vartheta", {symbol, "theta"}},
    {"varphi", {symbol, "phi"}},
    {"arcctg", {function, "arccot"}},
    {"tg", {function, "tan"}},
    {"ctg", {function, "cot"}},
    {"arctg", {function, "arctan"}},
    {"_", {subscript, ""}},
    {"colon", {colon, ""}},
    {"Reals", {number_set, "R"}},
    {"textdollar", {currency, "$"}},
    {"surd", {function, "sqrt"}},
    {"over", {fraction, "over"}},
    {"choose", {binomial, "choose"}},
    {"cis", {function, "cis"}},
};

constexpr auto make_commands() {
  constexpr size_t kCount = std::size(kGreek) + std::size(kFunctions) + std::size(kSkipped) +
                            std::size(kDecorations) + std::size(kFonts) + std::size(kNamed);
  std::array<Entry, kCount> all{};
  size_t n = 0;
  for (const auto name : kGreek) all[n++] = {name, {symbol, name}};
  for (const auto name : kFunctions) all[n++] = {name, {function, name}};
  for (const auto name : kSkipped) all[n++] = {name, {end, ""}};
  for (const auto name : kDecorations) all[n++] = {name, {overline, name}};
  for (const auto name : kFonts) all[n++] = {name, {font, name}};
  for (const Entry& entry : kNamed) all[n++] = entry;
  return sorted(all);
}
constexpr auto kCommands = make_commands();

constexpr auto kWords = sorted(std::array<Entry, 55>{{
    {"Abs", {function, "abs"}},
    {"alpha", {symbol, "alpha"}},
    {"beta", {symbol, "beta"}},
    {"gamma", {symbol, "gamma"}},
    {"delta", {symbol, "delta"}},
    {"epsilon", {symbol, "epsilon"}},
    {"lambda", {symbol, "lambda"}},
    {"sigma", {symbol, "sigma"}},
    {"omega", {symbol, "omega"}},
    {"pi", {constant, "pi"}},
    {"inf", {infinity, ""}},
    {"infinity", {infinity, ""}},
    {"oo", {infinity, ""}},
    {"and", {conjunction, "and"}},
    {"or", {conjunction, "or"}},
    {"abs", {function, "abs"}},
    {"sqrt", {function, "sqrt"}},
    {"cbrt", {function, "cbrt"}},
    {"sin", {function, "sin"}},
    {"cos", {function, "cos"}},
    {"tan", {function, "tan"}},
    {"cot", {function, "cot"}},
    {"sec", {function, "sec"}},
    {"csc", {function, "csc"}},
    {"arcsin", {function, "arcsin"}},
    {"arccos", {function, "arccos"}},
    {"arctan", {function, "arctan"}},
    {"sinh", {function, "sinh"}},
    {"cosh", {function, "cosh"}},
    {"tanh", {function, "tanh"}},
    {"ln", {function, "ln"}},
    {"log", {function, "log"}},
    {"exp", {function, "exp"}},
    {"asin", {function, "arcsin"}},
    {"atan", {function, "arctan"}},
    {"theta", {symbol, "theta"}},
    {"acos", {function, "arccos"}},
    {"asinh", {function, "arsinh"}},
    {"acosh", {function, "arcosh"}},
    {"atanh", {function, "artanh"}},
    {"arcsinh", {function, "arsinh"}},
    {"arccosh", {function, "arcosh"}},
    {"arctanh", {function, "artanh"}},
    {"arsinh", {function, "arsinh"}},
    {"arcosh", {function, "arcosh"}},
    {"artanh", {function, "artanh"}},
    {"floor", {function, "floor"}},
    {"ceil", {function, "ceil"}},
    {"gcd", {function, "gcd"}},
    {"lcm", {function, "lcm"}},
    {"det", {function, "det"}},
    {"min", {function, "min"}},
    {"max", {function, "max"}},
    {"lg", {function, "lg"}},
    {"cis", {function, "cis"}},
}});

constexpr Entry kCharacters[] = {
    {"\xC2\xA0", {end, ""}},
    {"\xE2\x80\x89", {end, ""}},
    {"\xE2\x80\xAF", {end, ""}},
    {"\xE3\x80\x80", {end, ""}},
    {"\xE2\x88\x92", {minus, ""}},
    {"\xE2\x80\x93", {minus, ""}},
    {"\xC3\x97", {times, ""}},
    {"\xC2\xB7", {times, ""}},
    {"\xE2\x8B\x85", {times, ""}},
    {"\xE2\x88\x99", {times, ""}},
    {"\xC3\xB7", {divide, ""}},
    {"\xC2\xB1", {plus_minus, ""}},
    {"\xE2\x88\x93", {minus_plus, ""}},
    {"\xE2\x88\x9A", {function, "sqrt"}},
    {"\xE2\x88\x9B", {function, "cbrt"}},
    {"\xE2\x88\x91", {function, "sum"}},
    {"\xE2\x88\x8F", {function, "prod"}},
    {"\xCF\x80", {constant, "pi"}},
    {"\xE2\x88\x9E", {infinity, ""}},
    {"\xE2\x89\xA4", {relation, "<="}},
    {"\xE2\xA9\xBD", {relation, "<="}},
    {"\xE2\x89\xA5", {relation, ">="}},
    {"\xE2\xA9\xBE", {relation, ">="}},
    {"\xE2\x89\xA0", {relation, "!="}},
    {"\xE2\x89\x88", {relation, "~"}},
    {"\xE2\x88\x88", {element_of, ""}},
    {"\xE2\x88\xAA", {unite, ""}},
    {"\xE2\x88\xA9", {intersect, ""}},
    {"\xE2\x88\x96", {set_minus, ""}},
    {"\xE2\x88\x85", {empty_set, ""}},
    {"\xC2\xB0", {degree, ""}},
    {"\xE2\x80\xB2", {prime, ""}},
    {"\xE2\x84\x9D", {number_set, "R"}},
    {"\xE2\x84\xA4", {number_set, "Z"}},
    {"\xE2\x84\x9A", {number_set, "Q"}},
    {"\xE2\x84\x95", {number_set, "N"}},
    {"\xE2\x84\x82", {number_set, "C"}},
    {"\xC2\xA3", {currency, "\xC2\xA3"}},
    {"\xE2\x82\xAC", {currency, "\xE2\x82\xAC"}},
    {"\xC2\xA5", {currency, "\xC2\xA5"}},
    {"\xC2\xA2", {currency, "\xC2\xA2"}},
    {"\xC2\xB2", {power, "2"}},
    {"\xC2\xB3", {power, "3"}},
    {"\xC2\xB9", {power, "1"}},
    {"\xE2\x81\xB0", {power, "0"}},
    {"\xE2\x81\xB4", {power, "4"}},
    {"\xE2\x81\xB5", {power, "5"}},
    {"\xE2\x81\xB6", {power, "6"}},
    {"\xE2\x81\xB7", {power, "7"}},
    {"\xE2\x81\xB8", {power, "8"}},
    {"\xE2\x81\xB9", {power, "9"}},
    {"\xC2\xBD", {fraction, "1/2"}},
    {"\xC2\xBC", {fraction, "1/4"}},
    {"\xC2\xBE", {fraction, "3/4"}},
    {"\xE2\x85\x93", {fraction, "1/3"}},
    {"\xE2\x85\x94", {fraction, "2/3"}},
    {"\xE2\x85\x9B", {fraction, "1/8"}},
    {"\xCE\xB1", {symbol, "alpha"}},
    {"\xCE\xB2", {symbol, "beta"}},
    {"\xCE\xB3", {symbol, "gamma"}},
    {"\xCE\xB4", {symbol, "delta"}},
    {"\xCE\xB8", {symbol, "theta"}},
    {"\xCE\xBB", {symbol, "lambda"}},
    {"\xCE\xBC", {symbol, "mu"}},
    {"\xCF\x83", {symbol, "sigma"}},
    {"\xCF\x86", {symbol, "phi"}},
    {"\xCF\x89", {symbol, "omega"}},
    {"\xEF\xBC\x8C", {comma, ""}},
    {"\xEF\xBC\x88", {open_paren, ""}},
    {"\xEF\xBC\x89", {close_paren, ""}},
    {"\xE2\x9F\xA8", {open_angle, ""}},
    {"\xE2\x9F\xA9", {close_angle, ""}},
    {"\xE2\x8C\x8A", {open_floor, ""}},
    {"\xE2\x8C\x8B", {close_floor, ""}},
    {"\xE2\x8C\x88", {open_ceiling, ""}},
    {"\xE2\x8C\x89", {close_ceiling, ""}},
};

}  // namespace

std::optional<Notation> latex_command(std::string_view name) {
  return look_up(kCommands, name);
}

int unseen_groups(std::string_view name) {
  constexpr std::string_view kNames[] = {"phantom", "hphantom", "vphantom", "hspace", "vspace",
                                         "mspace",  "label",    "tag",      "color",  "textcolor"};
  return std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames) ? 0 : 1;
}

std::optional<Notation> plain_word(std::string_view word) {
  return look_up(kWords, word);
}

std::optional<Notation> special_character(std::string_view text, size_t& length) {
  for (const Entry& entry : kCharacters) {
    if (!text.starts_with(entry.name)) continue;
    length = entry.name.size();
    return entry.meaning;
  }
  return std::nullopt;
}

bool is_matrix_environment(std::string_view name) {
  constexpr std::string_view kNames[] = {"matrix",  "pmatrix", "bmatrix",     "vmatrix",
                                         "Bmatrix", "array",   "smallmatrix", "cases"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace temper
