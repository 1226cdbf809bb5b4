// Random expressions: each equals what it is rewritten to by an identity, and does not equal itself
// changed anywhere by as little as one may like.
#include <memory>

#include "core/random.h"
#include "reward/math/checker.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

struct Tree;
using TreePtr = std::shared_ptr<const Tree>;
struct Tree {
  std::string text;  // of a leaf, or an operator: + * / ^ or a command
  std::vector<TreePtr> items = {};
};

TreePtr leaf(const std::string& text) {
  return std::make_shared<Tree>(Tree{text});
}
TreePtr tree(const std::string& text, std::vector<TreePtr> items) {
  return std::make_shared<Tree>(Tree{text, std::move(items)});
}
TreePtr negated(const TreePtr& x) {
  return tree("*", {leaf("(-1)"), x});
}

std::string written(const Tree& t) {
  if (t.items.empty()) return t.text;
  const std::string first = written(*t.items[0]);
  if (t.text == "\\sqrt" || t.text == "e^") return t.text + "{" + first + "}";
  if (t.items.size() == 1) return t.text + "(" + first + ")";
  const std::string second = written(*t.items[1]);
  if (t.text == "/") return "\\frac{" + first + "}{" + second + "}";
  if (t.text == "^") return "(" + first + ")^{" + second + "}";
  if (t.text == "+") return first + "+" + second;
  return "(" + first + ")\\cdot (" + second + ")";
}

class Writer {
 public:
  Writer(uint32_t trial, bool symbols) : random_(7, RandomStream::data, trial), symbols_(symbols) {}

  TreePtr expression(int depth) {
    if (depth == 0) return simple();
    const auto part = [&] { return expression(depth - 1); };
    const TreePtr positive = tree("+", {tree("^", {part(), leaf("2")}), leaf("3")});
    switch (random_.below(8)) {
      case 0:
      case 1:
        return tree("+", {part(), part()});
      case 2:
        return tree("*", {part(), part()});
      case 3:
        return tree("/", {part(), positive});
      case 4:
        return tree("\\sqrt", {positive});
      case 5:
        return tree("\\ln", {positive});
      case 6:
        return tree(random_.below(2) == 0 ? "\\sin" : "\\cos", {part()});
      default:
        return tree("e^", {simple()});
    }
  }

  // The same by identities of algebra, trigonometry, logarithms and powers.
  TreePtr rewritten(const TreePtr& t) {
    if (t->items.empty()) {
      return random_.below(4) == 0 ? tree("/", {tree("*", {leaf("6"), t}), leaf("6")}) : t;
    }
    std::vector<TreePtr> a;
    for (const TreePtr& item : t->items) a.push_back(rewritten(item));
    const TreePtr half = leaf("\\frac{1}{2}");
    if (random_.below(2) == 0) return tree(t->text, a);
    if (t->text == "+" || t->text == "*") {
      const bool sum = a[0]->text == "+" && a[0]->items.size() == 2;
      if (t->text == "*" && sum) {
        return tree("+", {tree("*", {a[0]->items[0], a[1]}), tree("*", {a[0]->items[1], a[1]})});
      }
      return tree(t->text, {a[1], a[0]});
    }
    if (t->text == "/") return tree("*", {a[0], tree("^", {a[1], leaf("-1")})});
    if (t->text == "^") return tree("*", {a[0], a[0]});
    if (t->text == "\\sqrt")
      return tree("*", {half, tree("\\sqrt", {tree("*", {leaf("4"), a[0]})})});
    if (t->text == "\\ln") return tree("*", {leaf("2"), tree("\\ln", {tree("\\sqrt", {a[0]})})});
    if (t->text == "e^") return tree("^", {tree("e^", {negated(a[0])}), leaf("-1")});
    const TreePtr part = tree("*", {half, a[0]});
    const TreePtr sine = tree("\\sin", {part});
    if (t->text == "\\sin") return tree("*", {leaf("2"), tree("*", {sine, tree("\\cos", {part})})});
    return tree("+", {leaf("1"), tree("*", {leaf("(-2)"), tree("^", {sine, leaf("2")})})});
  }

  // With a very small number added to the whole, or to a leaf that the value depends on.
  std::string changed(const TreePtr& t) {
    constexpr std::string_view kSmall[] = {"1", "10^{-3}", "10^{-40}", "10^{-200}", "10^{-900}"};
    const std::string small(kSmall[random_.below(5)]);
    const std::string text = written(*t);
    switch (random_.below(3)) {
      case 0:
        return text + "+" + small;
      case 1:
        return text + "-" + small;
      default:
        return "(" + text + ")+\\sin(" + small + ")";
    }
  }

 private:
  TreePtr simple() {
    constexpr std::string_view kConstants[] = {"2",         "3",         "7",    "\\frac{3}{5}",
                                               "\\sqrt{2}", "\\sqrt{6}", "\\pi", "1"};
    constexpr std::string_view kSymbols[] = {"x", "y"};
    if (symbols_ && random_.below(2) == 0) return leaf(std::string(kSymbols[random_.below(2)]));
    return leaf(std::string(kConstants[random_.below(8)]));
  }

  Random random_;
  bool symbols_;
};

}  // namespace

TEST_CASE("a random expression equals what it is rewritten to, and nothing beside it") {
  int pairs = 0, refused = 0;
  for (uint32_t trial = 0; trial < 1500; ++trial) {
    Writer writer(trial, trial % 2 == 1);
    const TreePtr gold = writer.expression(1 + static_cast<int>(trial % 3));
    const TreePtr same = writer.rewritten(gold);
    const std::string text = written(*gold), other = written(*same);
    if (text.size() > 500 || other.size() > 500) continue;
    INFO(text << "\n" << other);
    ++pairs;
    if (!same_math(text, other)) ++refused;
    const std::string changed = writer.changed(same);
    INFO(changed);
    CHECK_FALSE(same_math(text, changed));
  }
  // What is beyond the means of a proof is refused, never let pass; that is rare.
  CHECK(pairs >= 1000);
  CHECK(refused * 200 <= pairs);
}
