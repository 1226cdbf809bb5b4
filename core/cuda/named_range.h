// Ranges of NVTX, which Nsight Systems shows.
#pragma once

namespace temper::cuda {

// Opens a range inside those that are open on this thread.
void open_range(const char* name);
// Closes the last one.
void close_range();

}  // namespace temper::cuda
