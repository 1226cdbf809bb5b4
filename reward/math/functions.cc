#include "reward/math/functions.h"

namespace temper {
namespace {

using BallFunction = void (*)(acb_t, const acb_t, slong);

struct Named {
  std::string_view name;
  BallFunction function;
  bool inverted;  // 1/f(x)
};

constexpr Named kFunctions[] = {
    {"sin", acb_sin, false},       {"cos", acb_cos, false},       {"tan", acb_tan, false},
    {"cot", acb_tan, true},        {"sec", acb_cos, true},        {"csc", acb_sin, true},
    {"sinh", acb_sinh, false},     {"cosh", acb_cosh, false},     {"tanh", acb_tanh, false},
    {"coth", acb_tanh, true},      {"arctan", acb_atan, false},   {"arcsin", acb_asin, false},
    {"arccos", acb_acos, false},   {"arsinh", acb_asinh, false},  {"arcosh", acb_acosh, false},
    {"artanh", acb_atanh, false},  {"arcsinh", acb_asinh, false}, {"arccosh", acb_acosh, false},
    {"arctanh", acb_atanh, false}, {"ln", acb_log, false},        {"log", acb_log, false},
};

// arccot x = arctan 1/x, arcsec x = arccos 1/x, arccsc x = arcsin 1/x.
constexpr Named kOfReciprocal[] = {
    {"arccot", acb_atan, false}, {"arcsec", acb_acos, false}, {"arccsc", acb_asin, false}};

bool logarithm(const Ball& x, const Ball* base, slong precision, Ball& out) {
  if (acb_contains_zero(x.get()) != 0) return false;
  acb_log(out.get(), x.get(), precision);
  if (base == nullptr) return true;
  Ball below;
  if (acb_contains_zero(base->get()) != 0) return false;
  acb_log(below.get(), base->get(), precision);
  if (acb_contains_zero(below.get()) != 0) return false;
  acb_div(out.get(), out.get(), below.get(), precision);
  return true;
}

bool of_reciprocal(const Named& named, const Ball& x, slong precision, Ball& out) {
  if (acb_contains_zero(x.get()) != 0) return false;
  Ball y;
  acb_inv(y.get(), x.get(), precision);
  named.function(out.get(), y.get(), precision);
  return true;
}

bool one_argument(const std::string& name, const Ball& x, slong precision, Ball& out) {
  if (name == "exp") {
    arf_t size;  // e^x for a huge x would only be an unbounded ball
    arf_init(size);
    acb_get_abs_ubound_arf(size, x.get(), 32);
    const bool small = arf_cmp_d(size, 1e4) < 0;
    arf_clear(size);
    if (small) acb_exp(out.get(), x.get(), precision);
    return small;
  }
  for (const Named& named : kOfReciprocal) {
    if (named.name == name) return of_reciprocal(named, x, precision, out);
  }
  for (const Named& named : kFunctions) {
    if (named.name != name) continue;
    named.function(out.get(), x.get(), precision);
    if (!named.inverted) return true;
    if (acb_contains_zero(out.get()) != 0) return false;
    acb_inv(out.get(), out.get(), precision);
    return true;
  }
  return false;
}

bool smaller_or_larger(bool smaller, const Ball& x, const Ball& y, slong precision, Ball& out) {
  if (!x.is_real() || !y.is_real()) return false;
  if (smaller) {
    arb_min(out.real(), x.real(), y.real(), precision);
  } else {
    arb_max(out.real(), x.real(), y.real(), precision);
  }
  return true;
}

}  // namespace

bool call_function(const std::string& name, const Ball& x, const Ball* y,
                   const EvaluationPoint& point, Ball& out) {
  bool defined = false;
  if (name == "log" || name == "ln" || name == "lg") {
    Ball ten;
    acb_set_ui(ten.get(), 10);
    defined = logarithm(x, name == "lg" ? &ten : y, point.precision, out);
  } else if (y != nullptr) {
    if (name != "min" && name != "max") return false;
    defined = smaller_or_larger(name == "min", x, *y, point.precision, out);
  } else {
    defined = one_argument(name, x, point.precision, out);
  }
  return defined && (!point.real_only || out.is_real());
}

}  // namespace temper
