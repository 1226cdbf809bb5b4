// Long pasts are cut into chunks, which are attended to on their own and merged afterwards.
#pragma once

#include "model/ops/cuda/kernel.h"
#include "model/ops/decode_attention.h"

namespace temper::cuda {

// How a launch cuts: chunk i of a row is its tokens from i * chunk. It follows from the numbers of
// rows and heads and the width of the block table alone, never from the lengths (a captured launch
// is replayed for other lengths), so a row's bits depend on its own past and on these.
struct Split {
  int chunk = 0;  // tokens, a multiple of 64
  int most = 1;   // chunks of the longest past that the table has room for
};

// The cut for `units` pieces of work that one multiprocessor each could take, `rows` rows of
// `heads` heads of `dim` numbers.
inline Split split_past(int64_t units, int64_t most_tokens, int64_t rows, int64_t heads,
                        int64_t dim) {
  constexpr int64_t kEnough = 128, kLongest = 4096, kShortest = 256;
  constexpr int64_t kMostBytes = int64_t{256} << 20;  // of what chunks leave behind
  int64_t chunk = kLongest;
  for (int64_t have = units; have < kEnough && chunk > kShortest; have *= 2) chunk /= 2;
  const auto count = [&] { return (most_tokens + chunk - 1) / chunk; };
  while (count() > 1 && count() * rows * heads * dim * 4 > kMostBytes) chunk *= 2;
  return {static_cast<int>(chunk), static_cast<int>(count())};
}

// What the chunks of split rows leave behind: with a = scale * log2(e) * scores, o = the chunk's
// weighted mean of the values and lse = log2(sum 2^a). A row with one chunk leaves nothing.
struct Parts {
  float* o = nullptr;    // [N, most, H, D]
  float* lse = nullptr;  // [N, most, H]
};

// o = the mean of the parts' o weighted by 2^lse, in the order of the chunks, for each row that
// has several; other rows stay. D is a multiple of 4 and o's rows are aligned to 8 bytes.
// Shapes: o [N, H, D] of 16 bits.
void merge_parts(Context& ctx, const Tensor& o, const Parts& parts, const PagedRows& rows,
                 const Split& split);

#ifdef __CUDACC__

__device__ inline int chunks_of(int length, int chunk) {
  return (length + chunk - 1) / chunk;
}

#endif

}  // namespace temper::cuda
