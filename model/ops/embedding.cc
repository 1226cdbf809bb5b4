#include "model/ops/embedding.h"

#include "model/ops/check.h"
#include "model/ops/cpu/embedding.h"
#include "model/ops/cuda/embedding.h"

namespace temper {
namespace {

void check_embedding(const Tensor& y, const Tensor& table, const Tensor& ids) {
  check_alike({y, table});
  check_i32(ids, "embedding: ids");
  check_rows_cols(y, ids.numel(), table.cols(), "embedding: y");
}

}  // namespace

void embedding_forward(Context& ctx, Tensor y, Tensor table, Tensor ids) {
  check_embedding(y, table, ids);
  switch (y.device) {
    case Device::cpu:
      return cpu::embedding_forward(ctx, y, table, ids);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::embedding_forward(ctx, y, table, ids);
      no_backend();
  }
}

void scatter_rows_add(Context& ctx, Tensor y, Tensor x, Tensor index) {
  check_embedding(x, y, index);
  switch (y.device) {
    case Device::cpu:
      return cpu::scatter_rows_add(ctx, y, x, index);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::scatter_rows_add(ctx, y, x, index);
      no_backend();
  }
}

void embedding_backward(Context& ctx, Tensor dtable, Tensor dy, Tensor ids) {
  check_embedding(dy, dtable, ids);
  switch (dy.device) {
    case Device::cpu:
      return cpu::embedding_backward(ctx, dtable, dy, ids);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::embedding_backward(ctx, dtable, dy, ids);
      no_backend();
  }
}

}  // namespace temper
