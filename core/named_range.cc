#include "core/named_range.h"

#include "core/context.h"
#include "core/cuda/named_range.h"
#include "core/device.h"

namespace temper {

NamedRange::NamedRange(const Context& ctx, const char* name) {
  if constexpr (kWithCuda) {
    if (ctx.cuda == nullptr) return;
    cuda::open_range(name);
    open_ = true;
  }
}

NamedRange::~NamedRange() {
  if constexpr (kWithCuda)
    if (open_) cuda::close_range();
}

}  // namespace temper
