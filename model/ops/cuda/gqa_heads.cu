#include "model/ops/cuda/column_sum.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/gqa_heads.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

// What one token has, in items: two packs of a head that RoPE turns together, or two neighbouring
// packs of a value.
struct Items {
  int heads, kv_heads, dim, packs;  // packs: of half a head

  __host__ __device__ int count() const { return (heads + 2 * kv_heads) * packs; }
};

// The places of an item: in qkv, and in its own tensor.
template <class T>
struct Spot {
  T* own;
  int column;
  bool rotated;
  int first, second;  // from both places on
};

template <class T>
struct Tensors {
  Rows<T> q, k, v, qkv;
  Rows<float> cos, sin;  // null: nothing is rotated
};

template <int N, class T>
__device__ Spot<T> spot_of(const Tensors<T>& x, const Items& n, int64_t t, int item) {
  const int head = item / n.packs, first = (item - head * n.packs) * N;
  Spot<T> s{nullptr, head * n.dim, true, first, first + n.packs * N};
  if (head < n.heads) {
    s.own = x.q.row(t * n.heads + head);
  } else if (head < n.heads + n.kv_heads) {
    s.own = x.k.row(t * n.kv_heads + head - n.heads);
  } else {
    s.own = x.v.row(t * n.kv_heads + head - n.heads - n.kv_heads);
    s.rotated = false;
  }
  s.rotated = s.rotated && x.cos;
  return s;
}

// Turns the pair of packs by the angles (direction 1) or back (-1).
template <int N, class T>
__device__ void rotate(const Tensors<T>& x, int64_t t, int first, float direction, float (&a)[N],
                       float (&b)[N]) {
  const auto cos = load_pack<N>(x.cos.row(t) + first), sin = load_pack<N>(x.sin.row(t) + first);
#pragma unroll
  for (int e = 0; e < N; ++e) {
    const float s = direction * sin.at[e], one = a[e], other = b[e];
    a[e] = one * cos.at[e] - other * s;
    b[e] = one * s + other * cos.at[e];
  }
}

template <int N, class T>
__device__ void take(const T* from, float (&to)[N]) {
  const auto pack = load_pack<N>(from);
#pragma unroll
  for (int e = 0; e < N; ++e) to[e] = to_float(pack.at[e]);
}
template <int N, class T>
__device__ void put(T* to, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int e = 0; e < N; ++e) pack.at[e] = from_float<T>(from[e]);
  store_pack<N>(to, pack);
}

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads) forward_kernel(Tensors<T> x, Items n, const T* bias) {
  follow();
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t t = index / n.count();
  if (t >= x.qkv.rows) return;
  const Spot<T> s = spot_of<N>(x, n, t, static_cast<int>(index - t * n.count()));
  const T* from = x.qkv.row(t) + s.column;
  float a[N], b[N];
  take<N>(from + s.first, a);
  take<N>(from + s.second, b);
  if (bias != nullptr) {
    float add[N];
    take<N>(bias + s.column + s.first, add);
#pragma unroll
    for (int e = 0; e < N; ++e) a[e] += add[e];
    take<N>(bias + s.column + s.second, add);
#pragma unroll
    for (int e = 0; e < N; ++e) b[e] += add[e];
  }
  if (s.rotated) rotate<N>(x, t, s.first, 1.0F, a, b);
  put<N>(s.own + s.first, a);
  put<N>(s.own + s.second, b);
}

constexpr int kLines = 8;  // tokens of a block at a time, 32 items of each
constexpr int64_t kTokensOfBlock = 64;

// A thread keeps its item and goes through tokens, so that the bias's sums stay in registers; then
// the block's lines are added up in order. parts [blocks of tokens, width]; null: no bias.
template <class T, int N>
__global__ void __launch_bounds__(32 * kLines)
    backward_kernel(Tensors<T> x, Items n, float* parts) {
  follow();
  __shared__ float sums[kLines][2 * N][32];
  const int item = static_cast<int>(blockIdx.x) * 32 + threadIdx.x;
  const bool valid = item < n.count();
  const int64_t first = int64_t{blockIdx.y} * kTokensOfBlock;
  const int64_t end = min(first + kTokensOfBlock, x.qkv.rows);
  float sum[2 * N] = {};
  Spot<T> s{};
#pragma unroll 4
  for (int64_t t = first + threadIdx.y; valid && t < end; t += kLines) {
    s = spot_of<N>(x, n, t, item);
    float a[N], b[N];
    take<N>(s.own + s.first, a);
    take<N>(s.own + s.second, b);
    if (s.rotated) rotate<N>(x, t, s.first, -1.0F, a, b);
    T* to = x.qkv.row(t) + s.column;
    put<N>(to + s.first, a);
    put<N>(to + s.second, b);
#pragma unroll
    for (int e = 0; e < N; ++e) sum[e] += a[e], sum[N + e] += b[e];
  }
  if (parts == nullptr) return;
#pragma unroll
  for (int e = 0; e < 2 * N; ++e) sums[threadIdx.y][e][threadIdx.x] = sum[e];
  __syncthreads();
  if (threadIdx.y > 0 || !valid) return;
  float* to = parts + int64_t{blockIdx.y} * x.qkv.cols + s.column;
#pragma unroll
  for (int e = 0; e < 2 * N; ++e) {
    float all = 0.0F;
    for (int line = 0; line < kLines; ++line) all += sums[line][e][threadIdx.x];
    to[(e < N ? s.first : s.second - N) + e] = all;
  }
}

// Calls body.template operator()<N>(items) with N = 16 bytes of numbers where all allow it, else 1.
template <class T, class Body>
void dispatch_items(const Tensors<T>& x, int64_t tokens, Body&& body) {
  constexpr int n = kWide<T>;
  const auto dim = static_cast<int>(x.q.cols);
  const auto items = [&](int each) {
    return Items{static_cast<int>(x.q.rows / tokens), static_cast<int>(x.k.rows / tokens), dim,
                 dim / 2 / each};
  };
  const bool wide = packs(x.q) && packs(x.k) && packs(x.v) && packs(x.qkv) && packs(x.cos) &&
                    packs(x.sin) && dim % (2 * n) == 0;
  if (wide) return body.template operator()<n>(items(n));
  body.template operator()<1>(items(1));
}

}  // namespace

void gqa_heads_forward(Context& ctx, const GqaHeads& h) {
  if (h.q.empty()) return;
  dispatch(h.q.dtype, [&]<class T>() {
    const Tensors<T> x{rows_of<T>(h.q),   rows_of<T>(h.k),       rows_of<T>(h.v),
                       rows_of<T>(h.qkv), rows_of<float>(h.cos), rows_of<float>(h.sin)};
    const Rows<T> bias = rows_of<T>(h.bias);
    dispatch_items(x, h.q.dim(0), [&]<int N>(const Items& items) {
      const auto kernel = packs(bias) ? forward_kernel<T, N> : forward_kernel<T, 1>;
      const Items n =
          packs(bias) ? items : Items{items.heads, items.kv_heads, items.dim, items.dim / 2};
      launch_following(ctx, kernel, {blocks_for(x.qkv.rows * n.count(), kThreads), kThreads}, x, n,
                       static_cast<const T*>(bias.data));
    });
  });
}

void gqa_heads_backward(Context& ctx, const GqaHeadsGrads& g) {
  if (g.dq.empty()) {
    to_add(ctx, g.dbias);
    return;
  }
  ArenaScope scope(ctx.scratch);
  const int64_t tokens = g.dq.dim(0);
  const auto chunks = static_cast<unsigned>(blocks_for(tokens, kTokensOfBlock));
  Tensor parts;
  if (g.dbias.data != nullptr)
    parts = ctx.scratch.tensor("gqa_heads.parts", DType::f32, {chunks, g.dqkv.cols()});
  dispatch(g.dq.dtype, [&]<class T>() {
    const Tensors<T> x{rows_of<T>(g.dq),   rows_of<T>(g.dk),      rows_of<T>(g.dv),
                       rows_of<T>(g.dqkv), rows_of<float>(g.cos), rows_of<float>(g.sin)};
    dispatch_items(x, tokens, [&]<int N>(const Items& items) {
      launch_following(ctx, backward_kernel<T, N>,
                       {dim3(blocks_for(items.count(), 32), chunks), dim3(32, kLines)}, x, items,
                       data_of<float>(parts));
    });
  });
  if (g.dbias.data != nullptr) sum_parts(ctx, g.dbias, parts);
}

}  // namespace temper::cuda
