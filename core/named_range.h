// A named stretch of work, for profilers.
#pragma once

namespace temper {

struct Context;

// From construction to destruction, what is queued on the GPU shows under `name` (a literal) in
// Nsight Systems. Costs next to nothing where no profiler listens; nothing on the CPU.
class NamedRange {
 public:
  NamedRange(const Context& ctx, const char* name);
  ~NamedRange();
  NamedRange(const NamedRange&) = delete;
  NamedRange& operator=(const NamedRange&) = delete;

 private:
  bool open_ = false;
};

}  // namespace temper
