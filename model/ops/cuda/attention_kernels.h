// What the kernels of causal attention share: their arguments, and which tile a block takes.
#pragma once

#include "model/ops/attention.h"
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {

// [T, heads, dim] as the kernels see it: element (t, h, j) is data[t * token + h * stride + j].
template <class T>
struct Heads {
  T* data = nullptr;
  int64_t heads = 0, stride = 0, token = 0;
  int dim = 0;

  Heads() = default;
  explicit Heads(const Tensor& t)
      : data(rows_of<T>(t).data),
        heads(t.dim(1)),
        stride(t.row_stride),
        token(heads * stride),
        dim(static_cast<int>(t.cols())) {}
  // [T, heads * dim], whose rows may lie apart.
  Heads(const Tensor& t, int64_t count)
      : data(rows_of<T>(t).data),
        heads(count),
        stride(t.cols() / count),
        token(t.row_stride),
        dim(static_cast<int>(t.cols() / count)) {}
  __host__ __device__ T* at(int64_t t, int64_t head) const {
    return data + t * token + head * stride;
  }
};

struct SequenceTable {
  const int32_t* cu_seqlens;
  int count;
  const int32_t* keys;  // the same of the keys
};

template <class T>
struct AttentionForward {
  Heads<T> o, q, k, v;
  float* lse;  // [T, H] with lse_stride between tokens, or null
  int64_t lse_stride;
  SequenceTable sequences;
  int64_t keys;  // rows of k and v
  float scale;
  Heads<T> k_shared = {};  // for Hopper alone: the last numbers of every head's key, or null
};

template <class T>
struct AttentionBackward {
  Heads<T> dq, dk, dv, d_o, q, k, v;
  const float* lse;
  int64_t lse_stride;
  const float* delta;  // [T, H]: rowsum(do * o)
  SequenceTable sequences;
  float scale;
  bool fresh_dq = false, fresh_dk = false,
       fresh_dv = false;  // for Hopper alone: written, not added
  // For Hopper alone, where k_shared is not null: it gets a part from each head, written; and dq
  // is turned back by the angles, of as many numbers, before it is stored.
  Heads<T> k_shared = {}, dk_shared = {};
  Rows<float> cos = {}, sin = {};
};

// Queue the kernels. `sequences` is the host's view of the same numbers.
void launch_forward(Context& ctx, const AttentionForward<float>& args, const Sequences& sequences);
void launch_forward(Context& ctx, const AttentionForward<bf16>& args, const Sequences& sequences);
void launch_forward(Context& ctx, const AttentionForward<f16>& args, const Sequences& sequences);
void launch_backward(Context& ctx, const AttentionBackward<float>& args,
                     const Sequences& sequences);
void launch_backward(Context& ctx, const AttentionBackward<bf16>& args, const Sequences& sequences);
void launch_backward(Context& ctx, const AttentionBackward<f16>& args, const Sequences& sequences);
// The same on Hopper's wgmma, where fresh gradients are written; false, with nothing done, where
// they cannot run: another card, rows that are not aligned to 16 bytes, or wider heads than 192 and
// 128.
bool launch_forward_hopper(Context& ctx, const AttentionForward<bf16>& args,
                           const Sequences& sequences);
bool launch_forward_hopper(Context& ctx, const AttentionForward<f16>& args,
                           const Sequences& sequences);
bool launch_backward_hopper(Context& ctx, const AttentionBackward<bf16>& args,
                            const Sequences& sequences);
bool launch_backward_hopper(Context& ctx, const AttentionBackward<f16>& args,
                            const Sequences& sequences);

// How many tiles of `rows` rows cover the sequences, none reaching over the end of one.
inline unsigned tiles_of(const Sequences& sequences, int64_t rows) {
  int64_t tiles = 0;
  for (size_t s = 0; s + 1 < sequences.cu_seqlens.size(); ++s)
    tiles += (sequences.cu_seqlens[s + 1] - sequences.cu_seqlens[s] + rows - 1) / rows;
  require(tiles <= 65535, "attention: more tokens than a launch takes");
  return static_cast<unsigned>(tiles);
}

// Lets a kernel have more than 48 KiB of shared memory.
template <class Kernel>
void allow_shared(Kernel* kernel, size_t bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
}

#ifdef __CUDACC__

// One sequence's rows are tokens first .. first + length; the tile begins at row `begin` of them.
// Its keys begin at first_key, `past` of them before the first row's own.
struct TilePlace {
  int first, length, begin, first_key, past;
};

// Where tile `index` of those that tiles_of counted lies. Every thread of the warp calls it.
__device__ inline TilePlace place_tile(const SequenceTable& sequences, int rows, int index) {
  const int lane = threadIdx.x % 32;
  for (int base = 0; base < sequences.count; base += 32) {
    const int s = base + lane;
    const int first = s < sequences.count ? sequences.cu_seqlens[s] : 0;
    const int length = s < sequences.count ? sequences.cu_seqlens[s + 1] - first : 0;
    const int first_key = s < sequences.count ? sequences.keys[s] : 0;
    const int past = s < sequences.count ? sequences.keys[s + 1] - first_key - length : 0;
    const int tiles = (length + rows - 1) / rows;
    int upto = tiles;  // of this lane's sequence and those before it
    for (int offset = 1; offset < 32; offset *= 2) {
      const int below = __shfl_up_sync(0xffffffffU, upto, offset);
      if (lane >= offset) upto += below;
    }
    const unsigned after = __ballot_sync(0xffffffffU, index < upto);
    if (after != 0) {
      const int owner = __ffs(static_cast<int>(after)) - 1;
      const auto of_owner = [owner](int x) { return __shfl_sync(0xffffffffU, x, owner); };
      return {of_owner(first), of_owner(length), of_owner((index - upto + tiles) * rows),
              of_owner(first_key), of_owner(past)};
    }
    index -= __shfl_sync(0xffffffffU, upto, 31);
  }
  return {0, 0, 0, 0, 0};
}

#endif

}  // namespace temper::cuda
