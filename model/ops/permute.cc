#include "model/ops/permute.h"

#include "model/ops/check.h"
#include "model/ops/cpu/permute.h"
#include "model/ops/cuda/permute.h"

namespace temper {
namespace {

void check_choices(const Tensor& tokens, const Tensor& rows, const Tensor& row_of) {
  check_i32(row_of, "permute: row_of");
  require(row_of.rank == 2 && row_of.dim(0) == tokens.rows(), "permute: row_of is not [T, K]");
  check_rows_cols(rows, row_of.numel(), tokens.cols(), "permute: the sorted rows");
}

}  // namespace

void plan_experts(Context& ctx, const ExpertPlan& plan, Tensor experts) {
  check_i32(experts, "plan_experts: experts");
  for (const Tensor& t : {plan.row_of, plan.token_of, plan.offsets}) check_i32(t, "plan_experts");
  require(experts.rank == 2 && experts.contiguous(), "plan_experts: experts is not [T, K]");
  check_shape(plan.row_of, {experts.dim(0), experts.dim(1)}, "plan_experts: row_of");
  check_shape(plan.token_of, {experts.numel()}, "plan_experts: token_of");
  require(plan.offsets.rank == 1 && plan.offsets.numel() >= 1, "plan_experts: offsets");
  switch (experts.device) {
    case Device::cpu:
      return cpu::plan_experts(ctx, plan, experts);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::plan_experts(ctx, plan, experts);
      no_backend();
  }
}

void count_rows(Context& ctx, Tensor counts, std::span<const Tensor> offsets) {
  check_i32(counts, "count_rows: counts");
  require(counts.contiguous() && counts.rows() == static_cast<int64_t>(offsets.size()),
          "count_rows: counts for each of the offsets");
  for (const Tensor& of_layer : offsets) {
    check_i32(of_layer, "count_rows: offsets");
    check_shape(of_layer, {counts.cols() + 1}, "count_rows: offsets");
  }
  switch (counts.device) {
    case Device::cpu:
      return cpu::count_rows(ctx, counts, offsets);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::count_rows(ctx, counts, offsets);
      no_backend();
  }
}

void gather_rows_forward(Context& ctx, Tensor y, Tensor x, Tensor index) {
  check_alike({y, x});
  check_i32(index, "gather_rows: index");
  check_rows_cols(y, index.numel(), x.cols(), "gather_rows: y");
  switch (y.device) {
    case Device::cpu:
      return cpu::gather_rows_forward(ctx, y, x, index);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::gather_rows_forward(ctx, y, x, index);
      no_backend();
  }
}

void spread_rows(Context& ctx, Tensor y, Tensor x, Tensor row_of) {
  check_alike({y, x});
  check_choices(x, y, row_of);
  switch (y.device) {
    case Device::cpu:
      return cpu::spread_rows(ctx, y, x, row_of);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::spread_rows(ctx, y, x, row_of);
      no_backend();
  }
}

void gather_rows_backward(Context& ctx, const Grad& dx, Tensor dy, Tensor row_of) {
  check_alike({dx, dy});
  check_choices(dx, dy, row_of);
  switch (dx.device) {
    case Device::cpu:
      return cpu::gather_rows_backward(ctx, to_add(ctx, dx), dy, row_of);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::gather_rows_backward(ctx, dx, dy, row_of);
      no_backend();
  }
}

namespace {

void check_combined(const Tensor& y, const Combined& rows) {
  check_alike({y, rows.x, rows.weights, rows.plus});
  check_choices(y, rows.x, rows.row_of);
  check_shape(rows.weights, {rows.row_of.dim(0), rows.row_of.dim(1)}, "combine: weights");
  if (!rows.plus.empty()) check_rows_cols(rows.plus, y.rows(), y.cols(), "combine: plus");
}

}  // namespace

void combine_forward(Context& ctx, Tensor y, const Combined& rows) {
  check_combined(y, rows);
  switch (y.device) {
    case Device::cpu:
      return cpu::combine_forward(ctx, y, rows);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::combine_forward(ctx, y, rows);
      no_backend();
  }
}

void combine_norm_forward(Context& ctx, Tensor y, const Combined& rows, const NormAfter& norm) {
  check_combined(y, rows);
  check_alike({y, norm.normed, norm.w, norm.saved.rstd, norm.saved.x});
  check_rows_cols(norm.normed, y.rows(), y.cols(), "combine: normed");
  check_rows_cols(norm.w, 1, y.cols(), "combine: the norm's weights");
  if constexpr (kWithCuda)
    if (y.device == Device::cuda && cuda::combine_norms(y, rows, norm))
      return cuda::combine_norm_forward(ctx, y, rows, norm);
  combine_forward(ctx, y, rows);
  rms_norm_forward(ctx, norm.normed, norm.saved, y, norm.w, norm.eps);
}

}  // namespace temper
