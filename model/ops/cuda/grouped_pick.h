// Rows of a left factor that do not lie one after another, on their way into the stages of the
// tiled products on Hopper: the producer's four warps copy them by an index, 16 bytes a thread, to
// where the copy engine would have put them.
#pragma once

#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/hopper.h"
#include "model/ops/cuda/mma.h"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace temper::cuda::grouped {

// Arrives at the barrier when all copies that this thread has begun are there.
__device__ inline void arrive_after_copies(uint64_t* barrier) {
  asm volatile(
      "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];\n" ::"r"(shared_address(barrier))
      : "memory");
}

// Eight threads bring a line of 64 numbers, so all of them 16 lines at once. A thread's lines are
// 16 apart, so that the swizzle moves its 16 bytes to the same place in each.
constexpr int kLines = kPickers / 8, kLinesBytes = kLines * kLine * 2;

class Picker {
 public:
  __device__ Picker(const Picking& pick, int thread)
      : pick_(pick), pack_(thread % 8), line_(thread / 8) {}

  // Where its bytes of its first line are, in a stage's operand and in a row.
  __device__ int place() const { return line_ * kLine * 2 + (pack_ ^ line_ % 8) * 16; }
  __device__ int column() const { return pack_ * 8; }
  // Where its line of the lines from `row` on begins, in units of 16 bytes. What lies behind the
  // index is not used, but must be read from somewhere.
  __device__ unsigned begin_of(int row) const {
    const auto from = static_cast<unsigned>(pick_.index[min(row + line_, pick_.rows - 1)]);
    return from * pick_.stride;
  }

 private:
  const Picking& pick_;
  int pack_, line_;
};

__device__ inline void bring(unsigned char* to, const uint16_t* base, unsigned begin, bool valid) {
  copy_later(reinterpret_cast<uint16_t*>(to), base + uint64_t{begin} * 8, valid);
}

// A tile's rows are the result's: the same for all its steps.
struct TileRows {
  unsigned begin[kTileRows / kLines];

  __device__ TileRows(const Picker& own, const Tile& t) {
#pragma unroll
    for (int i = 0; i < kTileRows / kLines; ++i) begin[i] = own.begin_of(t.row + i * kLines);
  }
  __device__ void step(unsigned char* stage, const Picking& pick, const Picker& own, const Tile&,
                       int step) {
    const int col = step * kStep + own.column();
#pragma unroll
    for (int i = 0; i < kTileRows / kLines; ++i)
      bring(stage + own.place() + i * kLinesBytes, pick.from + col, begin[i], col < pick.cols);
  }
};

// The rows are the inner dimension: other ones in each step, whose places are read a step ahead.
// (For the right factor, twice as wide, this took longer than laying its rows out: 443 instead of
// 621 TFLOPS.)
struct InnerRows {
  unsigned begin[kStep / kLines];

  __device__ InnerRows(const Picker& own, const Tile& t) { read(own, t.begin); }
  __device__ void read(const Picker& own, int row) {
#pragma unroll
    for (int i = 0; i < kStep / kLines; ++i) begin[i] = own.begin_of(row + i * kLines);
  }
  __device__ void step(unsigned char* stage, const Picking& pick, const Picker& own, const Tile& t,
                       int step) {
    const int col = t.row + own.column();
    unsigned char* to = stage + own.place();
#pragma unroll
    for (int i = 0; i < kStep / kLines; ++i)
#pragma unroll
      for (int box = 0; box < kTileRows / kLine; ++box)
        bring(to + box * kBoxBytes + i * kLinesBytes, pick.from + col + box * kLine, begin[i],
              col + box * kLine < pick.cols);
    if (step + 1 < t.steps) read(own, t.begin + (step + 1) * kStep);
  }
};

}  // namespace temper::cuda::grouped

#endif
