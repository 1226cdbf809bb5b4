#include "model/ops/cuda/mla_heads.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;  // of a block, which takes a token

struct Angles {
  Rows<float> cos, sin;
};

// N neighbours of a row, or the `left` ones that there are.
template <int N, class T>
__device__ Pack<T, N> take(const T* from, int left) {
  if constexpr (N == kWide<T>) {
    return load_pack<N>(from);
  } else {
    Pack<T, N> pack{};
#pragma unroll
    for (int e = 0; e < N; ++e)
      if (e < left) pack.at[e] = from[e];
    return pack;
  }
}
template <int N, class T>
__device__ void put(T* to, const Pack<T, N>& pack, int left) {
  if constexpr (N == kWide<T>) {
    store_pack<N>(to, pack);
  } else {
#pragma unroll
    for (int e = 0; e < N; ++e)
      if (e < left) to[e] = pack.at[e];
  }
}

// Rotates the pairs from element `first` of the rotated part on, forward (1) or back (-1).
template <int N>
__device__ void rotate(float (&x)[N], const Angles& angles, int64_t t, int first, float direction) {
  const auto cos = load_pack<N / 2>(angles.cos.row(t) + first / 2);
  const auto sin = load_pack<N / 2>(angles.sin.row(t) + first / 2);
#pragma unroll
  for (int e = 0; e < N; e += 2) {
    const float c = cos.at[e / 2], s = direction * sin.at[e / 2];
    const float a = x[e], b = x[e + 1];
    x[e] = a * c - b * s;
    x[e + 1] = a * s + b * c;
  }
}

template <class T, int N>
__device__ Pack<T, N> rotated(const Pack<T, N>& from, const Angles& angles, int64_t t, int first,
                              float direction) {
  float x[N];
  Pack<T, N> to;
#pragma unroll
  for (int e = 0; e < N; ++e) x[e] = to_float(from.at[e]);
  rotate(x, angles, t, first, direction);
#pragma unroll
  for (int e = 0; e < N; ++e) to.at[e] = from_float<T>(x[e]);
  return to;
}

// What one token has, in packs.
struct Units {
  int heads, nope, rope, nope_units, rope_units;
};

template <class T>
struct Forward {
  Rows<T> q, k, k_nope, k_rope;
  Angles angles;
  Units units;
};

// What a thread moves: a pack from one place to another, on its way rotated or not.
template <class T>
struct Move {
  const T* from = nullptr;  // null: nothing
  T* to = nullptr;
  int first = -1;  // of the rotated part; -1: not rotated
  int left = 0;    // numbers
};

template <class T, int N>
__device__ Move<T> move_of(const Forward<T>& f, int64_t t, int i) {
  const Units& n = f.units;
  const int of_q = n.heads * n.rope_units, of_head = n.nope_units + n.rope_units;
  if (i < of_q) {
    const int head = i / n.rope_units, at = (i - head * n.rope_units) * N;
    T* q = f.q.row(t * n.heads + head) + n.nope + at;
    return {q, q, at, N};
  }
  const int head = (i - of_q) / of_head, unit = i - of_q - head * of_head;
  if (head >= n.heads) return {};
  const int64_t row = t * n.heads + head;
  if (unit < n.nope_units)
    return {f.k_nope.row(row) + unit * N, f.k.row(row) + unit * N, -1, n.nope - unit * N};
  const int at = (unit - n.nope_units) * N;
  return {f.k_rope.row(t) + at, f.k.row(row) + n.nope + at, at, N};
}

// Two moves a thread at a time, so that their reads are on the way together.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) forward_kernel(Forward<T> f) {
  follow();
  const Units& n = f.units;
  const int64_t t = blockIdx.x;
  const int all = n.heads * (2 * n.rope_units + n.nope_units);
  for (int i = threadIdx.x; i < all; i += 2 * kThreads) {
    Move<T> move[2];
    Pack<T, N> pack[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      move[j] = move_of<T, N>(f, t, i + j * kThreads);
      if (move[j].from != nullptr) pack[j] = take<N>(move[j].from, move[j].left);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (move[j].from == nullptr) continue;
      if (move[j].first >= 0) pack[j] = rotated<T, N>(pack[j], f.angles, t, move[j].first, 1.0F);
      put<N>(move[j].to, pack[j], move[j].left);
    }
  }
}

// Keys alone, of parts that are as they should be.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) keys_kernel(Forward<T> f) {
  const Units& n = f.units;
  const int64_t t = blockIdx.x;
  const int of_head = n.nope_units + n.rope_units;
  for (int i = threadIdx.x; i < n.heads * of_head; i += kThreads) {
    const int64_t row = t * n.heads + i / of_head;
    const int unit = i % of_head, at = unit * N, behind = (unit - n.nope_units) * N;
    if (unit < n.nope_units) {
      put<N>(f.k.row(row) + at, take<N>(f.k_nope.row(row) + at, n.nope - at), n.nope - at);
    } else {
      put<N>(f.k.row(row) + n.nope + behind, take<N>(f.k_rope.row(t) + behind, N), N);
    }
  }
}

template <class T>
struct Backward {
  Rows<T> dq, dk, dk_nope, dk_rope;
  bool nope_fresh, rope_fresh;
  Angles angles;
  Units units;
};

template <int N, class T>
__device__ void add(T* to, bool fresh, const float (&x)[N], int left) {
  Pack<T, N> pack{};
  if (!fresh) pack = take<N>(to, left);
#pragma unroll
  for (int e = 0; e < N; ++e)
    pack.at[e] = from_float<T>(fresh ? x[e] : to_float(pack.at[e]) + x[e]);
  put<N>(to, pack, left);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) backward_kernel(Backward<T> b) {
  follow();
  const Units& n = b.units;
  const int64_t t = blockIdx.x;
  const int of_q = n.heads * n.rope_units, of_k = n.heads * n.nope_units;
  for (int i = threadIdx.x; i < n.rope_units + of_q + of_k; i += kThreads) {
    if (i < n.rope_units) {  // first: they take the longest
      const int at = i * N;
      float sum[N] = {};
#pragma unroll 8
      for (int h = 0; h < n.heads; ++h) {
        const auto dk = take<N>(b.dk.row(t * n.heads + h) + n.nope + at, N);
#pragma unroll
        for (int e = 0; e < N; ++e) sum[e] += to_float(dk.at[e]);
      }
      rotate(sum, b.angles, t, at, -1.0F);
      add<N>(b.dk_rope.row(t) + at, b.rope_fresh, sum, N);
    } else if (i < n.rope_units + of_q) {
      const int j = i - n.rope_units, at = j % n.rope_units * N;
      T* dq = b.dq.row(t * n.heads + j / n.rope_units) + n.nope + at;
      put<N>(dq, rotated<T, N>(take<N>(dq, N), b.angles, t, at, -1.0F), N);
    } else {
      const int j = i - n.rope_units - of_q, at = j % n.nope_units * N, left = n.nope - at;
      const int64_t row = t * n.heads + j / n.nope_units;
      const auto dk = take<N>(b.dk.row(row) + at, left);
      float x[N];
#pragma unroll
      for (int e = 0; e < N; ++e) x[e] = to_float(dk.at[e]);
      add<N>(b.dk_nope.row(row) + at, b.nope_fresh, x, left);
    }
  }
}

// Calls body.template operator()<N>(units) with N = 16 bytes of numbers where all the views allow
// it, else a pair.
template <class T, class Body>
void dispatch_units(std::initializer_list<Rows<T>> views, const Angles& angles, int64_t heads,
                    int64_t nope, int64_t rope, Body&& body) {
  const auto units = [&](int64_t n) {
    return Units{static_cast<int>(heads), static_cast<int>(nope), static_cast<int>(rope),
                 static_cast<int>((nope + n - 1) / n), static_cast<int>(rope / n)};
  };
  bool wide =
      nope % kWide<T> == 0 && rope % kWide<T> == 0 && packs(angles.cos) && packs(angles.sin);
  for (const Rows<T>& view : views) wide = wide && packs(view);
  if (wide) return body.template operator()<kWide<T>>(units(kWide<T>));
  body.template operator()<2>(units(2));
}

}  // namespace

void mla_heads_forward(Context& ctx, const MlaHeads& m) {
  if (m.q.empty()) return;
  const auto tokens = static_cast<unsigned>(m.q.dim(0));
  dispatch(m.q.dtype, [&]<class T>() {
    Forward<T> f{rows_of<T>(m.q),
                 rows_of<T>(m.k),
                 rows_of<T>(m.k_nope),
                 rows_of<T>(m.k_rope),
                 {rows_of<float>(m.cos), rows_of<float>(m.sin)},
                 {}};
    dispatch_units<T>({f.q, f.k, f.k_nope, f.k_rope}, f.angles, m.q.dim(1), m.k_nope.cols(),
                      m.k_rope.cols(), [&]<int N>(Units units) {
                        f.units = units;
                        launch_following(ctx, forward_kernel<T, N>, {tokens, kThreads}, f);
                      });
  });
}

void mla_keys_forward(Context& ctx, const MlaHeads& m) {
  if (m.k.empty()) return;
  const auto tokens = static_cast<unsigned>(m.k.dim(0));
  dispatch(m.k.dtype, [&]<class T>() {
    Forward<T> f{{}, rows_of<T>(m.k), rows_of<T>(m.k_nope), rows_of<T>(m.k_rope), {}, {}};
    dispatch_units<T>({f.k, f.k_nope, f.k_rope}, f.angles, m.k.dim(1), m.k_nope.cols(),
                      m.k_rope.cols(), [&]<int N>(Units units) {
                        f.units = units;
                        keys_kernel<T, N><<<tokens, kThreads, 0, stream_of(ctx)>>>(f);
                        check_launch();
                      });
  });
}

void mla_heads_backward(Context& ctx, const MlaHeadsGrads& g) {
  if (g.dq.empty()) return;
  const auto tokens = static_cast<unsigned>(g.dq.dim(0));
  dispatch(g.dq.dtype, [&]<class T>() {
    Backward<T> b{rows_of<T>(g.dq),
                  rows_of<T>(g.dk),
                  rows_of<T>(g.dk_nope),
                  rows_of<T>(g.dk_rope),
                  g.dk_nope.fresh,
                  g.dk_rope.fresh,
                  {rows_of<float>(g.cos), rows_of<float>(g.sin)},
                  {}};
    dispatch_units<T>({b.dq, b.dk, b.dk_nope, b.dk_rope}, b.angles, g.dq.dim(1), g.dk_nope.cols(),
                      g.dk_rope.cols(), [&]<int N>(Units units) {
                        b.units = units;
                        launch_following(ctx, backward_kernel<T, N>, {tokens, kThreads}, b);
                      });
  });
}

}  // namespace temper::cuda
