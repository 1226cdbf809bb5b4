#include "model/ops/cpu/keep_logits.h"

#include <algorithm>

#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

// Fills the gaps between the kept ids, which ascend.
template <class T>
void cut_row(T* row, int64_t n, const int32_t* first, const int32_t* last) {
  constexpr T kCut = T(-1e30);
  int64_t from = 0;
  for (const int32_t* id = first; id != last; ++id) {
    require(*id >= from && *id < n, "keep_logits: ids ascend and lie in the vocabulary");
    std::fill(row + from, row + *id, kCut);
    from = *id + 1;
  }
  std::fill(row + from, row + n, kCut);
}

}  // namespace

void keep_logits(Context& ctx, Tensor logits, Tensor begin, Tensor ids) {
  const int32_t* offset = begin.get<int32_t>();
  const int32_t* kept = ids.empty() ? nullptr : ids.get<int32_t>();
  dispatch_float(logits.dtype, [&]<class T>() {
    parallel_rows(ctx, logits.rows(), logits.cols(), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r)
        if (offset[r] != offset[r + 1])
          cut_row(logits.row<T>(r), logits.cols(), kept + offset[r], kept + offset[r + 1]);
    });
  });
}

}  // namespace temper::cpu
