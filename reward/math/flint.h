// Arb's complex balls, wherever the distribution keeps them: a library of its own beside FLINT 2
// (Debian 12), or a part of FLINT 3.
#pragma once

#include <gmp.h>  // first: FLINT declares what takes GMP's types only where it is known

#if __has_include(<flint/acb.h>)
#include <flint/acb.h>
#include <flint/acb_hypgeom.h>
#include <flint/arb.h>
#include <flint/fmpq.h>
#else
#include <acb.h>
#include <acb_hypgeom.h>
#include <arb.h>
#include <flint/fmpq.h>
#endif

namespace temper {

// Owns an acb_t: a complex number known to lie within a ball.
class Ball {
 public:
  Ball() { acb_init(value_); }
  ~Ball() { acb_clear(value_); }
  Ball(const Ball&) = delete;
  Ball& operator=(const Ball&) = delete;

  acb_ptr get() { return value_; }
  acb_srcptr get() const { return value_; }
  arb_ptr real() { return acb_realref(value_); }
  arb_srcptr real() const { return acb_realref(value_); }
  bool is_real() const { return arb_is_zero(acb_imagref(value_)) != 0; }

 private:
  acb_t value_;
};

}  // namespace temper
