#include "reward/math/decimals.h"

#include <cstdlib>

namespace temper {
namespace {

mpq_class power_of_ten(long exponent) {
  mpz_class scale;
  mpz_ui_pow_ui(scale.get_mpz_t(), 10, static_cast<unsigned long>(std::labs(exponent)));
  return exponent < 0 ? mpq_class(1, scale) : mpq_class(scale);
}

// The exponent of a power of ten that is written as one; nullopt for anything else.
std::optional<long> exponent_of_ten(const Node& node) {
  if (node.kind != NodeKind::power || node.items[0]->kind != NodeKind::number ||
      node.items[0]->value != 10) {
    return std::nullopt;
  }
  const bool negative = node.items[1]->kind == NodeKind::negate;
  const Node& size = negative ? *node.items[1]->items[0] : *node.items[1];
  const bool small =
      size.kind == NodeKind::number && size.value.get_den() == 1 && size.value <= 2000;
  if (!small) return std::nullopt;
  const long exponent = size.value.get_num().get_si();
  return negative ? -exponent : exponent;
}

}  // namespace

std::optional<Decimal> decimal_of(const Node& node) {
  if (node.kind == NodeKind::negate) {
    auto decimal = decimal_of(*node.items[0]);
    if (decimal) decimal->value = -decimal->value;
    return decimal;
  }
  if (node.kind == NodeKind::multiply) {
    const auto exponent = exponent_of_ten(*node.items[1]);
    auto decimal = exponent ? decimal_of(*node.items[0]) : std::nullopt;
    if (!decimal) return std::nullopt;
    decimal->value *= power_of_ten(*exponent);
    decimal->unit *= power_of_ten(*exponent);
    return decimal;
  }
  if (node.kind != NodeKind::number || node.decimals <= 0) return std::nullopt;
  return Decimal{node.value, power_of_ten(-node.decimals)};
}

mpq_class tolerance_of(const Decimal& decimal) {
  const mpq_class half = decimal.unit / 2;
  return half * 200 <= abs(decimal.value) ? half : mpq_class(0);
}

}  // namespace temper
