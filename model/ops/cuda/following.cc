#include "model/ops/cuda/following.h"

namespace temper::cuda {

bool is_recording(Context& ctx) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream_of(ctx), &status));
  return status == cudaStreamCaptureStatusActive;
}

}  // namespace temper::cuda
