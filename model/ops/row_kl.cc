#include "model/ops/row_kl.h"

#include "model/ops/check.h"
#include "model/ops/cpu/row_kl.h"
#include "model/ops/cuda/row_kl.h"

namespace temper {

void row_kl(Context& ctx, Tensor kl, Tensor student, Tensor teacher, const RowKlParams& params) {
  check_alike({student, teacher});
  require(student.dtype == teacher.dtype, "row_kl: the models' logits have different dtypes");
  require(same_shape(student, teacher), "row_kl: rows of one vocabulary");
  require(kl.dtype == DType::f64 && kl.device == student.device, "row_kl: kl is not f64 beside it");
  check_shape(kl, {student.rows()}, "row_kl: kl");
  require(params.temperature > 0.0, "row_kl: the temperature is not positive");
  switch (student.device) {
    case Device::cpu:
      return cpu::row_kl(ctx, kl, student, teacher, params);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::row_kl(ctx, kl, student, teacher, params);
      no_backend();
  }
}

}  // namespace temper
