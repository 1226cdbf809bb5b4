// Pinned memory, events and graphs, without CUDA's headers (core/queue.h is what others use).
#pragma once

#include <cstddef>
#include <functional>

#include "core/context.h"

namespace temper::cuda {

// Page-locked host memory; throws SystemError where there is none.
void* allocate_pinned(size_t bytes);
// Null is nothing.
void free_pinned(void* data) noexcept;
// Does not wait: the host's side must be pinned.
void queue_copy(Runtime& runtime, void* to, const void* from, size_t bytes);

// An event that keeps no time.
void* make_event();
// Puts it behind what is queued on the stream.
void record_event(Runtime& runtime, void* event);
// Blocks until the stream has come to it.
void wait_event(void* event);
// Whether the stream has come to it.
bool event_reached(void* event);
void free_event(void* event) noexcept;  // null is nothing

// A graph of what `work` queues, which is not run.
void* record_graph(Runtime& runtime, const std::function<void()>& work);
void play_graph(Runtime& runtime, void* graph);
void free_graph(void* graph) noexcept;  // null is nothing

}  // namespace temper::cuda
