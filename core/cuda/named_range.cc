#include "core/cuda/named_range.h"

#include <nvtx3/nvToolsExt.h>

namespace temper::cuda {

void open_range(const char* name) {
  nvtxRangePushA(name);
}

void close_range() {
  nvtxRangePop();
}

}  // namespace temper::cuda
