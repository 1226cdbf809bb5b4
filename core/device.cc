#include "core/device.h"

#include <cstring>

#include "core/cuda/memory.h"
#include "core/error.h"
#include "core/host_memory.h"
#ifdef TEMPER_WITH_CUDA
#include "core/cuda/runtime.h"
#else
namespace temper::cuda {
class Runtime {};
}  // namespace temper::cuda
#endif

namespace temper {

Context::Context(int threads, Device where) : pool(threads), device(where), scratch(where) {
  if (where == Device::cpu) return;
  device_of("cuda");
  if constexpr (kWithCuda) cuda = std::make_unique<cuda::Runtime>();
}

Context::~Context() = default;

int gpu_count() {
  if constexpr (kWithCuda) return cuda::device_count();
  return 0;
}

GpuInfo gpu_info() {
  GpuInfo none;
  none.problem = "this build has no CUDA";
  if constexpr (kWithCuda) {
    none.problem = cuda::device_problem();
    if (none.problem.empty()) return cuda::info();
  }
  return none;
}

Device device_of(std::string_view name) {
  if (name == "cpu") return Device::cpu;
  if (name == "auto") return gpu_count() > 0 ? Device::cuda : Device::cpu;
  if (name != "cuda")
    throw UserError({.what = "there is no such device",
                     .expected = "auto, cpu or cuda",
                     .found = std::string(name)});
  if constexpr (!kWithCuda) {
    throw UserError({.what = "this build of temper has no CUDA",
                     .hint = "install the CUDA toolkit and build again, or use --device cpu"});
  } else {
    if (gpu_count() == 0)
      throw UserError({.what = "no GPU can be used",
                       .found = cuda::device_problem(),
                       .hint = "see what nvidia-smi says, or use --device cpu"});
  }
  return Device::cuda;
}

std::string_view name_of(Device device) {
  return device == Device::cpu ? "cpu" : "cuda";
}

void check_arithmetic(Device device, DType dtype) {
  const bool wide = dtype == DType::f32;
  if (device == Device::cpu && (wide || dtype == DType::f64)) return;
  if (device == Device::cuda && (wide || dtype == DType::bf16 || dtype == DType::f16)) return;
  throw UserError({.what = "the " + std::string(name_of(device)) + " backend does not compute in " +
                           std::string(name_of(dtype)),
                   .expected = device == Device::cpu ? "f32 or f64" : "f32, bf16 or f16",
                   .hint = "change --dtype or --device"});
}

int64_t available_memory(Device device) {
  if constexpr (kWithCuda)
    if (device == Device::cuda) return static_cast<int64_t>(cuda::free_bytes());
  require(device == Device::cpu, "this build has no CUDA memory");
  return available_host_memory();
}

void copy_bytes(Context& ctx, void* to, Device to_device, const void* from, Device from_device,
                size_t bytes) {
  if (bytes == 0) return;
  if (to_device == Device::cpu && from_device == Device::cpu) {
    std::memcpy(to, from, bytes);
    return;
  }
  require(ctx.cuda != nullptr, "device memory without a device context");
  if constexpr (kWithCuda)
    cuda::copy(*ctx.cuda, to, from, bytes, from_device == Device::cpu, to_device == Device::cpu);
}

Tensor upload(Context& ctx, Arena& arena, const char* name, const Tensor& host) {
  require(host.device == Device::cpu && host.contiguous(), "upload takes a contiguous host tensor");
  Tensor out = host;
  const Tensor flat = arena.tensor(name, host.dtype, {host.numel()});
  out.data = flat.data;
  out.device = flat.device;
  copy_bytes(ctx, out.data, out.device, host.data, Device::cpu,
             static_cast<size_t>(host.numel()) * size_of(host.dtype));
  return out;
}

Tensor upload(Context& ctx, Arena& arena, const char* name, std::span<const int32_t> host) {
  // The view is read only.
  return upload(ctx, arena, name,
                make_tensor(const_cast<int32_t*>(host.data()), DType::i32,
                            {static_cast<int64_t>(host.size())}));
}

OwnedTensor to_host(Context& ctx, const Tensor& t) {
  require(t.contiguous(), "to_host takes a contiguous tensor");
  const size_t bytes = static_cast<size_t>(t.numel()) * size_of(t.dtype);
  OwnedTensor out{Buffer(bytes, Device::cpu), t};
  out.view.data = out.buffer.data();
  out.view.device = Device::cpu;
  copy_bytes(ctx, out.view.data, Device::cpu, t.data, t.device, bytes);
  return out;
}

std::vector<double> download_doubles(Context& ctx, const Tensor& t) {
  const OwnedTensor host = to_host(ctx, t);
  std::vector<double> out(static_cast<size_t>(t.numel()));
  dispatch_float(t.dtype, [&]<class T>() {
    const T* from = host.view.get<T>();
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(from[i]);
  });
  return out;
}

std::vector<int32_t> download_ints(Context& ctx, const Tensor& t) {
  const OwnedTensor host = to_host(ctx, t);
  const int32_t* from = host.view.get<int32_t>();
  return {from, from + t.numel()};
}

void synchronize(Context& ctx) {
  if constexpr (kWithCuda)
    if (ctx.cuda != nullptr) cuda::synchronize(*ctx.cuda);
}

}  // namespace temper
