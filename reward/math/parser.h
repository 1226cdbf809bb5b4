// From tokens to a tree: operator precedence (Pratt) for terms, plain descent for what holds them.
//
//   answer    := statement (("," | ";" | and | or) statement)*
//   statement := sets (relation sets)*            sets := term ((union | minus ...) term)*
//   term      := sum [unit]                       sum := [sign] product (("+" | "-") product)*
//   product   := factor ((times | over | nothing) factor)*
//   factor    := [sign] atom postfix* [^ exponent]
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "reward/math/node.h"
#include "reward/math/token.h"
#include "reward/math/units.h"

namespace temper {

class MathParser {
 public:
  explicit MathParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  // The tree of all tokens; nullptr if they are no formula as a whole.
  NodePtr parse();

 private:
  // parser.cc: lists, statements, sums and products.
  NodePtr statements(TokenKind closing);
  bool at_separator(std::string& separator);
  NodePtr statement();
  NodePtr relations(NodePtr left);
  NodePtr sets();
  NodePtr set_operand();
  NodePtr term();
  NodePtr ratio(NodePtr first);
  NodePtr sum();
  NodePtr matrix_terms(NodePtr left);
  NodePtr product();
  NodePtr mixed_number(const NodePtr& whole);
  bool starts_factor(const NodePtr& left) const;
  NodePtr with_unit(NodePtr value);
  bool read_unit_word(int sign, std::vector<UnitFactor>& unit);
  bool read_unit_words(int sign, std::vector<UnitFactor>& unit);
  bool at_unit_fraction() const;
  bool at_infix() const { return peek().text == "over" || peek().text == "choose"; }
  NodePtr over_what_follows(NodePtr above);

  // parser_atoms.cc: factors and what they are made of.
  NodePtr factor();
  NodePtr with_exponent(NodePtr base);
  NodePtr matrix_power(const Node& base);
  NodePtr with_postfix(NodePtr node);
  NodePtr atom();
  NodePtr decorated_atom();
  NodePtr number_atom();
  NodePtr repeating_decimal(const std::string& digits);
  NodePtr symbol_atom();
  NodePtr word_atom();
  NodePtr currency_atom();
  NodePtr argument(bool single_digit);
  std::string raw_argument();
  NodePtr subscripted(NodePtr node);

  // parser_groups.cc: functions, brackets and matrices.
  NodePtr function_atom();
  NodePtr function_argument();
  NodePtr sum_atom(const std::string& name);  // parser_sums.cc
  std::string name_of_letter(const std::string& letter) const;
  NodePtr root_atom(const std::string& name);
  NodePtr fraction_atom(NodeKind kind);
  NodePtr bars();
  NodePtr braces(TokenKind close);
  NodePtr brackets(TokenKind open);
  NodePtr fenced(NodeKind kind, TokenKind close);
  NodePtr angles();
  NodePtr matrix();

  const Token& peek(size_t ahead = 0) const {
    const size_t at = at_ + ahead;
    return at < tokens_.size() ? tokens_[at] : tokens_.back();
  }
  bool at(TokenKind kind) const { return peek().kind == kind; }
  bool take(TokenKind kind) {
    if (!at(kind)) return false;
    ++at_;
    return true;
  }

  std::vector<Token> tokens_;  // ends with one of kind `end`
  size_t at_ = 0;
  bool square_ = false;  // inside square brackets of either direction
  int depth_ = 0;        // of atoms inside atoms
  int open_bars_ = 0;    // absolute values that wait for their second bar
  std::vector<std::pair<std::string, std::string>> indices_;  // of the sums around, and their names
};

}  // namespace temper
