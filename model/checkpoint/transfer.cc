#include "model/checkpoint/transfer.h"

#include <algorithm>
#include <cstring>

#include "core/device.h"
#include "model/ops/elementwise.h"
#include "model/ops/halves.h"

namespace temper {
namespace {

constexpr int64_t kPiece = int64_t{16} << 20;  // elements converted at a time

size_t bytes_of(const Tensor& t) {
  return static_cast<size_t>(t.numel()) * size_of(t.dtype);
}

void copy_biases(Context& ctx, const OwnedWeights& to, const OwnedWeights& from) {
  const Tensor &t = to.router_biases.view, &f = from.router_biases.view;
  copy_bytes(ctx, t.data, t.device, f.data, f.device, bytes_of(f));
}

}  // namespace

OwnedWeights weights_on_device(Context& ctx, const OwnedWeights& host, const ModelConfig& config,
                               DType dtype) {
  OwnedWeights out = allocate_weights(config, dtype, ctx.device);
  const Tensor &from = host.storage.view, &to = out.storage.view;
  for (int64_t begin = 0; begin < from.numel(); begin += kPiece) {
    const int64_t n = std::min(kPiece, from.numel() - begin);
    ArenaScope scope(ctx.scratch);
    const Tensor piece = upload(ctx, ctx.scratch, "weights.piece", from.slice_rows(begin, n));
    copy(ctx, to.slice_rows(begin, n), piece);
  }
  copy_biases(ctx, out, host);
  synchronize(ctx);
  return out;
}

OwnedWeights weights_on_host(Context& ctx, const OwnedWeights& weights, const ModelConfig& config,
                             Tensor low) {
  const Tensor& from = weights.storage.view;
  OwnedWeights out = allocate_weights(config, stat_dtype(from.dtype), Device::cpu);
  const Tensor& to = out.storage.view;
  for (int64_t begin = 0; begin < from.numel(); begin += kPiece) {
    const int64_t n = std::min(kPiece, from.numel() - begin);
    ArenaScope scope(ctx.scratch);
    const Tensor piece = ctx.scratch.tensor("weights.piece", to.dtype, {n});
    const Tensor part = from.slice_rows(begin, n);
    low.empty() ? copy(ctx, piece, part) : join_halves(ctx, piece, part, low.slice_rows(begin, n));
    const Tensor target = to.slice_rows(begin, n);
    copy_bytes(ctx, target.data, Device::cpu, piece.data, piece.device, bytes_of(piece));
  }
  copy_biases(ctx, out, weights);
  return out;
}

void set_halves(Context& ctx, const Tensor& high, const Tensor& low, const Tensor& host) {
  for (int64_t begin = 0; begin < host.numel(); begin += kPiece) {
    const int64_t n = std::min(kPiece, host.numel() - begin);
    ArenaScope scope(ctx.scratch);
    const Tensor piece = upload(ctx, ctx.scratch, "weights.piece", host.slice_rows(begin, n));
    split_halves(ctx, high.slice_rows(begin, n), low.slice_rows(begin, n), piece);
  }
  synchronize(ctx);
}

OwnedWeights copy_weights(Context& ctx, const OwnedWeights& weights, const ModelConfig& config) {
  const Tensor& from = weights.storage.view;
  OwnedWeights out = allocate_weights(config, from.dtype, from.device);
  copy_bytes(ctx, out.storage.view.data, from.device, from.data, from.device, bytes_of(from));
  copy_biases(ctx, out, weights);
  return out;
}

}  // namespace temper
