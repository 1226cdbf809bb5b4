#include "reward/math/proof.h"

#include <optional>

#include "reward/math/elementary.h"
#include "reward/math/zero_test.h"

namespace temper {
namespace {

using Point = Elementary::Point;

// Turns a tree into terms for its real and imaginary part. What it cannot turn fails the table.
class Reader {
 public:
  Reader(Elementary& numbers, const std::map<std::string, double>& point, MathBudget& budget)
      : numbers_(numbers), terms_(numbers.terms()), point_(point), budget_(budget) {}

  Point read(const Node& node) {
    if (!budget_.spend(1) || numbers_.failed()) return failed();
    switch (node.kind) {
      case NodeKind::number:
        return real(numbers_.rational(node.value));
      case NodeKind::symbol: {
        const auto at = point_.find(node.name);
        if (at == point_.end()) return failed();
        return real(terms_.generator({.kind = GeneratorKind::variable,
                                      .symbol = static_cast<int>(std::distance(point_.begin(), at)),
                                      .value = mpq_class(at->second)}));
      }
      case NodeKind::constant:
        if (node.name == "pi") return real(numbers_.pi());
        if (node.name == "e") return real(numbers_.exponential(numbers_.rational(1)));
        return {numbers_.rational(0), numbers_.rational(1)};
      case NodeKind::power:
        return power(*node.items[0], *node.items[1]);
      case NodeKind::root: {
        return rational_power(read(*node.items[0]), mpq_class(1, node.count));
      }
      case NodeKind::function:
        return function(node);
      default:
        return inner(node);
    }
  }

 private:
  Point failed() {
    terms_.fail();
    return real(numbers_.rational(0));
  }
  Point real(TermId x) { return {x, numbers_.rational(0)}; }
  bool is_real(const Point& z) { return numbers_.sign(z.y) == 0; }
  TermId real_part(const Point& z) {
    if (!is_real(z)) terms_.fail();
    return z.x;
  }

  Point inner(const Node& node) {
    if (node.items.empty() || node.items.size() > 2) return failed();
    const Point x = read(*node.items[0]);
    const Point y = node.items.size() == 2 ? read(*node.items[1]) : x;
    switch (node.kind) {
      case NodeKind::add:
        return {terms_.add(x.x, y.x), terms_.add(x.y, y.y)};
      case NodeKind::multiply:
        return numbers_.product(x, y);
      case NodeKind::divide:
        return numbers_.product(x, inverse(y));
      case NodeKind::negate:
        return scaled(x, -1);
      case NodeKind::percent:
        return scaled(x, mpq_class(1, 100));
      case NodeKind::degree:
        return numbers_.product(scaled(x, mpq_class(1, 180)), real(numbers_.pi()));
      case NodeKind::absolute:
        return real(absolute(x));
      case NodeKind::floor:
        return real(numbers_.floor(real_part(x)));
      case NodeKind::ceiling:
        return real(terms_.scaled(numbers_.floor(terms_.scaled(real_part(x), -1)), -1));
      case NodeKind::factorial:
        return real(factorial(real_part(x)));
      case NodeKind::binomial: {
        const TermId n = real_part(x), k = real_part(y);
        const TermId below = terms_.multiply(factorial(k), factorial(terms_.subtract(n, k)));
        return real(terms_.divide(factorial(n), below));
      }
      default:
        return failed();
    }
  }

  Point scaled(const Point& z, const mpq_class& by) {
    return {terms_.scaled(z.x, by), terms_.scaled(z.y, by)};
  }

  Point inverse(const Point& z) {
    if (!is_real(z)) return numbers_.power(z, -1);
    if (numbers_.sign(z.x) == 0) return failed();
    return real(terms_.power(z.x, -1));
  }

  TermId absolute(const Point& z) {
    if (is_real(z)) return numbers_.sign(z.x) < 0 ? terms_.scaled(z.x, -1) : z.x;
    return terms_.root(terms_.add(terms_.multiply(z.x, z.x), terms_.multiply(z.y, z.y)), 2);
  }

  TermId factorial(TermId n) { return numbers_.gamma(terms_.add(n, numbers_.rational(1))); }

  Point power(const Node& base, const Node& exponent) {
    const Point w = read(exponent);
    if (base.kind == NodeKind::constant && base.name == "e") return exponential(w);
    const Point z = read(base);
    if (numbers_.failed()) return failed();
    if (is_real(w) && terms_.is_rational(w.x)) return rational_power(z, terms_[w.x].value);
    return exponential(numbers_.product(w, logarithm(z)));
  }

  Point exponential(const Point& w) {
    const TermId size = numbers_.exponential(w.x);
    const Point direction = numbers_.direction(w.y);
    return {terms_.multiply(size, direction.x), terms_.multiply(size, direction.y)};
  }

  Point logarithm(const Point& z) { return {numbers_.logarithm(absolute(z)), numbers_.angle(z)}; }

  // As numeric.cc has it: odd roots of negative reals are real, other powers have their principal
  // value.
  Point rational_power(const Point& z, const mpq_class& exponent) {
    if (!exponent.get_num().fits_slong_p() || !exponent.get_den().fits_slong_p()) return failed();
    const long above = exponent.get_num().get_si(), below = exponent.get_den().get_si();
    if (!is_real(z)) {
      if (below > 2)
        return exponential(numbers_.product(real(numbers_.rational(exponent)), logarithm(z)));
      return numbers_.power(below == 2 ? square_root(z) : z, above);
    }
    const int sign = numbers_.sign(z.x);
    if (sign == 0) return above > 0 ? real(numbers_.rational(0)) : failed();
    if (below == 1) return real(terms_.power(z.x, above));
    const TermId size = terms_.power(terms_.root(absolute(z), below), above);
    if (sign > 0) return real(size);
    if (below % 2 == 1) return real(above % 2 == 0 ? size : terms_.scaled(size, -1));
    return {terms_.multiply(size, terms_.cosine(exponent)),
            terms_.multiply(size, terms_.cosine(mpq_class(1, 2) - exponent))};
  }

  Point square_root(const Point& z) {
    const TermId size = absolute(z);
    const TermId x = numbers_.root(terms_.scaled(terms_.add(size, z.x), mpq_class(1, 2)), 2);
    const TermId y = numbers_.root(terms_.scaled(terms_.subtract(size, z.x), mpq_class(1, 2)), 2);
    return {x, numbers_.sign(z.y) < 0 ? terms_.scaled(y, -1) : y};
  }

  Point function(const Node& node) {
    const Point x = read(*node.items[0]);
    const std::string& name = node.name;
    if (node.items.size() == 2) {
      const Point y = read(*node.items[1]);
      if (name == "log" || name == "ln") {
        return numbers_.product(logarithm(x), inverse(logarithm(y)));
      }
      if (name != "min" && name != "max") return failed();
      const bool less = numbers_.sign(terms_.subtract(real_part(x), real_part(y))) < 0;
      return less == (name == "min") ? x : y;
    }
    if (node.items.size() != 1) return failed();
    if (name == "exp") return exponential(x);
    if (name == "ln" || name == "log") return logarithm(x);
    if (name == "lg") {
      return numbers_.product(logarithm(x), inverse(logarithm(real(numbers_.rational(10)))));
    }
    const TermId argument = real_part(x);
    if (numbers_.failed()) return failed();
    if (auto value = circular(name, argument)) return real(*value);
    if (auto value = hyperbolic(name, argument)) return real(*value);
    if (auto value = inverse_function(name, argument)) return real(*value);
    return failed();
  }

  TermId quotient(TermId above, TermId below) {
    if (numbers_.sign(below) == 0) terms_.fail();
    return numbers_.failed() ? above : terms_.divide(above, below);
  }

  std::optional<TermId> circular(const std::string& name, TermId x) {
    constexpr std::string_view kNames = " sin cos tan cot sec csc ";
    if (kNames.find(" " + name + " ") == std::string_view::npos) return std::nullopt;
    const Point at = numbers_.direction(x);
    const TermId one = numbers_.rational(1);
    if (name == "sin") return at.y;
    if (name == "cos") return at.x;
    if (name == "tan") return quotient(at.y, at.x);
    if (name == "cot") return quotient(at.x, at.y);
    return quotient(one, name == "sec" ? at.x : at.y);
  }

  std::optional<TermId> hyperbolic(const std::string& name, TermId x) {
    constexpr std::string_view kNames = " sinh cosh tanh coth ";
    if (kNames.find(" " + name + " ") == std::string_view::npos) return std::nullopt;
    const TermId e = numbers_.exponential(x);
    const TermId back = terms_.power(e, -1);
    const TermId sum = terms_.add(e, back), difference = terms_.subtract(e, back);
    if (name == "sinh") return terms_.scaled(difference, mpq_class(1, 2));
    if (name == "cosh") return terms_.scaled(sum, mpq_class(1, 2));
    return name == "tanh" ? quotient(difference, sum) : quotient(sum, difference);
  }

  std::optional<TermId> inverse_function(const std::string& name, TermId x) {
    const TermId one = numbers_.rational(1), square = terms_.multiply(x, x);
    const auto leg = [&](TermId t) {  // the other side of a right triangle
      return numbers_.root(terms_.subtract(one, terms_.multiply(t, t)), 2);
    };
    if (name == "arctan") return numbers_.angle({one, x});
    if (name == "arcsin") return numbers_.angle({leg(x), x});
    if (name == "arccos") return numbers_.angle({x, leg(x)});
    if (name == "arccot") return numbers_.angle({one, quotient(one, x)});
    if (name == "arcsec") return inverse_function("arccos", quotient(one, x));
    if (name == "arccsc") return inverse_function("arcsin", quotient(one, x));
    if (name == "arsinh" || name == "arcsinh") {
      return numbers_.logarithm(terms_.add(x, numbers_.root(terms_.add(square, one), 2)));
    }
    if (name == "arcosh" || name == "arccosh") {
      if (numbers_.sign(terms_.subtract(x, one)) < 0) terms_.fail();
      return numbers_.logarithm(terms_.add(x, numbers_.root(terms_.subtract(square, one), 2)));
    }
    if (name == "artanh" || name == "arctanh") {
      const TermId ratio = quotient(terms_.add(one, x), terms_.subtract(one, x));
      if (numbers_.sign(ratio) <= 0) terms_.fail();
      return terms_.scaled(numbers_.logarithm(ratio), mpq_class(1, 2));
    }
    return std::nullopt;
  }

  Elementary& numbers_;
  TermTable& terms_;
  const std::map<std::string, double>& point_;
  MathBudget& budget_;
};

}  // namespace

bool proves_equal(const Node& a, const Node& b, const std::map<std::string, double>& point,
                  MathBudget& budget) {
  for (long parts = 1; parts > 0;) {
    Elementary numbers(budget, parts);
    Reader reader(numbers, point, budget);
    const Point left = reader.read(a), right = reader.read(b);
    if (!numbers.failed()) {
      TermTable& terms = numbers.terms();
      return is_zero(terms, terms.subtract(left.x, right.x), budget) &&
             is_zero(terms, terms.subtract(left.y, right.y), budget);
    }
    parts = numbers.wanted_parts();
  }
  return false;
}

}  // namespace temper
