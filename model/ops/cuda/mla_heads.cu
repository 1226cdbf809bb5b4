#include "model/ops/cuda/mla_heads.h"

#include <climits>

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;

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
struct Turn {
  Rows<T> q, turned, k_rope;
  Angles angles;
  Units units;
  int items;  // packs of all tokens
};

// A pack a thread: of one of a token's queries, or of the key that its heads share.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) rope_kernel(Turn<T> f) {
  follow();
  const Units& n = f.units;
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= f.items) return;
  const int row = i / n.rope_units, at = (i - row * n.rope_units) * N;
  const int t = row / (n.heads + 1), head = row - t * (n.heads + 1);
  const bool of_q = head < n.heads;
  T* q = f.q.row(t) + head * (n.nope + n.rope) + n.nope + at;
  const auto pack = take<N>(of_q ? q : f.k_rope.row(t) + at, N);
  put<N>(of_q ? q : f.turned.row(t) + at, rotated<T, N>(pack, f.angles, t, at, 1.0F), N);
}

template <class T>
struct Keys {
  Rows<T> k, k_nope, k_rope;
  Units units;
};

// Keys of parts that are as they should be.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) keys_kernel(Keys<T> f) {
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

template <int N, class T>
__device__ void add(T* to, bool fresh, const float (&x)[N], int left) {
  Pack<T, N> pack{};
  if (!fresh) pack = take<N>(to, left);
#pragma unroll
  for (int e = 0; e < N; ++e)
    pack.at[e] = from_float<T>(fresh ? x[e] : to_float(pack.at[e]) + x[e]);
  put<N>(to, pack, left);
}
template <int N, class T>
__device__ void widen(float (&x)[N], const Pack<T, N>& pack) {
#pragma unroll
  for (int e = 0; e < N; ++e) x[e] = to_float(pack.at[e]);
}

// The sum of the parts that a token's heads gave pack `at` of the shared key, before RoPE; the
// first head's lies at `part`, the next `stride` numbers behind.
template <int N, class T>
__device__ void add_shared(T* to, bool fresh, const T* part, int64_t stride, int heads,
                           const Angles& angles, int64_t t, int at) {
  float sum[N] = {};
#pragma unroll 8
  for (int h = 0; h < heads; ++h) {
    const auto dk = take<N>(part + h * stride, N);
#pragma unroll
    for (int e = 0; e < N; ++e) sum[e] += to_float(dk.at[e]);
  }
  rotate(sum, angles, t, at, -1.0F);
  add<N>(to, fresh, sum, N);
}

template <class T>
struct Backward {
  Rows<T> dturned, dk, dq, dk_nope, dk_rope;
  bool q_fresh, nope_fresh, rope_fresh;
  Angles angles;
  Units units;
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads) backward_kernel(Backward<T> b) {
  follow();
  const Units& n = b.units;
  const int64_t t = blockIdx.x;
  const int of_head = n.nope_units + n.rope_units;
  for (int i = threadIdx.x; i < n.rope_units + n.heads * of_head; i += kThreads) {
    if (i < n.rope_units) {  // first: they take the longest
      add_shared<N>(b.dk_rope.row(t) + i * N, b.rope_fresh, b.dk.row(t * n.heads) + n.nope + i * N,
                    b.dk.stride, n.heads, b.angles, t, i * N);
      continue;
    }
    const int j = i - n.rope_units, head = j / of_head, unit = j - head * of_head;
    const int64_t row = t * n.heads + head;
    const bool turned = unit >= n.nope_units;
    const int at = turned ? n.nope + (unit - n.nope_units) * N : unit * N;
    const int left = turned ? N : n.nope - at;
    float x[N];
    widen(x, take<N>(b.dturned.row(row) + at, left));
    if (turned) rotate(x, b.angles, t, at - n.nope, -1.0F);
    add<N>(b.dq.row(t) + head * (n.nope + n.rope) + at, b.q_fresh, x, left);
    if (turned) continue;
    widen(x, take<N>(b.dk.row(row) + at, left));
    add<N>(b.dk_nope.row(row) + at, b.nope_fresh, x, left);
  }
}

template <class T>
struct Parts {
  Rows<T> dk_rope, parts;
  bool fresh;
  Angles angles;
  Units units;
  int items;
};

// A pack of a token's shared key a thread.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) parts_kernel(Parts<T> b) {
  follow();
  const Units& n = b.units;
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= b.items) return;
  const int t = i / n.rope_units, at = (i - t * n.rope_units) * N;
  add_shared<N>(b.dk_rope.row(t) + at, b.fresh, b.parts.row(int64_t{t} * n.heads) + at,
                b.parts.stride, n.heads, b.angles, t, at);
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

int items_of(int64_t items) {
  require(items < INT_MAX - kThreads, "mla_heads: more tokens than a launch takes");
  return static_cast<int>(items);
}

}  // namespace

void mla_rope_forward(Context& ctx, const MlaRope& m) {
  if (m.q.empty()) return;
  const int64_t tokens = m.q.rows(), rope = m.k_rope.cols(), width = m.q.cols() / m.heads;
  dispatch(m.q.dtype, [&]<class T>() {
    Turn<T> f{rows_of<T>(m.q),
              rows_of<T>(m.turned),
              rows_of<T>(m.k_rope),
              {rows_of<float>(m.cos), rows_of<float>(m.sin)},
              {},
              0};
    dispatch_units<T>(
        {f.q, f.turned, f.k_rope}, f.angles, m.heads, width - rope, rope, [&]<int N>(Units units) {
          f.units = units;
          f.items = items_of(tokens * (m.heads + 1) * units.rope_units);
          launch_following(ctx, rope_kernel<T, N>, {blocks_for(f.items, kThreads), kThreads}, f);
        });
  });
}

void mla_keys_forward(Context& ctx, Tensor k, Tensor k_nope, Tensor k_rope) {
  if (k.empty()) return;
  const auto tokens = static_cast<unsigned>(k.dim(0));
  dispatch(k.dtype, [&]<class T>() {
    Keys<T> f{rows_of<T>(k), rows_of<T>(k_nope), rows_of<T>(k_rope), {}};
    dispatch_units<T>({f.k, f.k_nope, f.k_rope}, {}, k.dim(1), k_nope.cols(), k_rope.cols(),
                      [&]<int N>(Units units) {
                        f.units = units;
                        keys_kernel<T, N><<<tokens, kThreads, 0, stream_of(ctx)>>>(f);
                        check_launch();
                      });
  });
}

void mla_heads_backward(Context& ctx, const MlaHeadsGrads& g) {
  if (g.dk.empty()) return;
  const auto tokens = static_cast<unsigned>(g.dk.dim(0));
  dispatch(g.dk.dtype, [&]<class T>() {
    Backward<T> b{rows_of<T>(g.dturned),
                  rows_of<T>(g.dk),
                  rows_of<T>(g.dq),
                  rows_of<T>(g.dk_nope),
                  rows_of<T>(g.dk_rope),
                  g.dq.fresh,
                  g.dk_nope.fresh,
                  g.dk_rope.fresh,
                  {rows_of<float>(g.cos), rows_of<float>(g.sin)},
                  {}};
    dispatch_units<T>({b.dturned, b.dk, b.dq, b.dk_nope, b.dk_rope}, b.angles, g.dk.dim(1),
                      g.dk_nope.cols(), g.dk_rope.cols(), [&]<int N>(Units units) {
                        b.units = units;
                        launch_following(ctx, backward_kernel<T, N>, {tokens, kThreads}, b);
                      });
  });
}

void mla_shared_keys_backward(Context& ctx, const Grad& dk_rope, Tensor dparts, Tensor cos,
                              Tensor sin) {
  if (dparts.empty()) return;
  dispatch(dparts.dtype, [&]<class T>() {
    Parts<T> b{rows_of<T>(dk_rope),
               rows_of<T>(dparts),
               dk_rope.fresh,
               {rows_of<float>(cos), rows_of<float>(sin)},
               {},
               0};
    dispatch_units<T>(
        {b.dk_rope, b.parts}, b.angles, dparts.dim(1), 0, dparts.cols(), [&]<int N>(Units units) {
          b.units = units;
          b.items = items_of(dk_rope.rows() * units.rope_units);
          launch_following(ctx, parts_kernel<T, N>, {blocks_for(b.items, kThreads), kThreads}, b);
        });
  });
}

}  // namespace temper::cuda
