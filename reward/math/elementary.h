// Logarithms, exponentials and angles of terms, each expressed by earlier ones wherever integers
// relate them: ln 6 by ln 2 and ln 3, sin 2 by tan(1/2), arctan(1/3) by arctan(1/2) and pi.
#pragma once

#include <vector>

#include "reward/math/terms.h"

namespace temper {

// The relations are found in numbers and proved (zero_test.h) before they are used. Where a step
// cannot be decided the table fails (TermTable::fail).
class Elementary {
 public:
  // Angles become multiples of their `parts`-th part.
  Elementary(MathBudget& budget, long parts)
      : budget_(budget), parts_(parts), signs_(table_, 192, budget) {}

  // A point of the plane, or a complex number.
  struct Point {
    TermId x, y;
  };

  TermTable& terms() { return table_; }
  bool failed() const { return table_.failed(); }
  // Into how many parts angles should be cut where a proof failed for that; 0 if it did not.
  long wanted_parts() const { return wanted_parts_; }

  TermId rational(const mpq_class& value) { return table_.rational(value); }
  TermId pi() { return table_.generator({.kind = GeneratorKind::pi}); }
  // -1, 0 or 1, proved.
  int sign(TermId x);
  bool is_integer(TermId x, mpz_class& value);
  // The largest integer that is not above x.
  TermId floor(TermId x);
  // The root of x >= 0, ln x of x > 0, e^x and the gamma function of x.
  TermId root(TermId x, long n);
  TermId logarithm(TermId x);
  TermId exponential(TermId x);
  TermId gamma(TermId x);
  // The cosine and the sine of an angle; the angle of a point, in (-pi, pi].
  Point direction(TermId angle);
  TermId angle(const Point& point);
  // Of complex numbers.
  Point product(const Point& a, const Point& b);
  Point power(Point base, long n);

 private:
  struct Exponent {  // value = e^logarithm
    TermId value, logarithm;
  };
  struct Turn {  // the point on the unit circle at the angle
    Point point;
    TermId angle;
    bool halves;  // its angle is in (-pi, pi], so that its half's point is known
  };

  std::vector<long> related(const std::vector<TermId>& ids);
  TermId combined(const std::vector<TermId>& ids, const std::vector<long>& by);
  bool proves(const std::vector<TermId>& ids, const std::vector<long>& by);
  std::vector<TermId> logarithms(TermId first) const;
  std::vector<TermId> angles(TermId first);
  TermId scaled_power(TermId base, long above, long below);
  bool can_take_part(const Turn& turn, long above, long below);
  Point part_of_turn(const Turn& turn, long above, long below);
  Point new_direction(TermId angle);

  TermTable table_;
  MathBudget& budget_;
  long parts_, wanted_parts_ = 0;
  TermValues signs_;
  std::vector<Exponent> exponents_;
  std::vector<Turn> turns_;
  std::vector<Point> gammas_;  // x: where, y: the value there
};

}  // namespace temper
