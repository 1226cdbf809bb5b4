#include "model/checkpoint/weights_checksum.h"

#include <cstdio>

#include "core/device.h"
#include "core/xxh64.h"

namespace temper {
namespace {

uint64_t checksum(Context& ctx, const Tensor& t) {
  const auto size = static_cast<size_t>(t.numel()) * size_of(t.dtype);
  if (t.device == Device::cpu) return xxh64({static_cast<const char*>(t.data), size});
  const OwnedTensor host = to_host(ctx, t);
  return xxh64({static_cast<const char*>(host.view.data), size});
}

}  // namespace

std::string weights_checksum(Context& ctx, const OwnedWeights& weights, const Tensor& low) {
  std::string sums;
  for (const Tensor& t : {weights.storage.view, weights.router_biases.view, low}) {
    if (t.empty()) continue;
    const uint64_t sum = checksum(ctx, t);
    sums.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  }
  char text[32];
  std::snprintf(text, sizeof text, "xxh64:%016llx", static_cast<unsigned long long>(xxh64(sums)));
  return text;
}

}  // namespace temper
