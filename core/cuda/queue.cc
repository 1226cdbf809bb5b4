#include "core/cuda/queue.h"

#include <string>

#include "core/cuda/runtime.h"

namespace temper::cuda {

void* allocate_pinned(size_t bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMallocHost(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw SystemError(std::to_string((bytes >> 20) + 1) +
                      " MiB of the host's memory cannot be pinned for the GPU: it is full, or a "
                      "limit on this process or its container is met");
  }
  check(status);
  return data;
}

void free_pinned(void* data) noexcept {
  if (data != nullptr) cudaFreeHost(data);
}

void queue_copy(Runtime& runtime, void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, runtime.stream));
}

void* make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

void record_event(Runtime& runtime, void* event) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), runtime.stream));
}

void wait_event(void* event) {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
}

bool event_reached(void* event) {
  const cudaError_t status = cudaEventQuery(static_cast<cudaEvent_t>(event));
  if (status == cudaErrorNotReady) return false;
  check(status);
  return true;
}

void free_event(void* event) noexcept {
  if (event != nullptr) cudaEventDestroy(static_cast<cudaEvent_t>(event));
}

void* record_graph(Runtime& runtime, const std::function<void()>& work) {
  check(cudaStreamBeginCapture(runtime.stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    // The stream must leave the capture, whatever came of it.
    cudaStreamEndCapture(runtime.stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(runtime.stream, &graph));
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status);
  return executable;
}

void play_graph(Runtime& runtime, void* graph) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), runtime.stream));
}

void free_graph(void* graph) noexcept {
  if (graph != nullptr) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

}  // namespace temper::cuda
