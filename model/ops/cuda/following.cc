#include "model/ops/cuda/following.h"

namespace temper::cuda {

bool is_recording(Context& ctx) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream_of(ctx), &status));
  return status == cudaStreamCaptureStatusActive;
}

bool starts_early(const Context& ctx) {
  return ctx.cuda->properties.major >= 9;
}

}  // namespace temper::cuda
