#include "core/tensor.h"

namespace temper {
namespace {

void* advance(void* data, int64_t elements, DType dtype) {
  return static_cast<char*>(data) + elements * static_cast<int64_t>(size_of(dtype));
}

}  // namespace

Tensor Tensor::slice_rows(int64_t begin, int64_t count) const {
  require(rank >= 1 && begin >= 0 && count >= 0 && begin + count <= shape[0],
          "slice_rows out of range of " + shape_text());
  Tensor out = *this;
  if (rank == 1) {  // a vector is one row: its elements are sliced
    out.data = advance(data, begin, dtype);
    out.shape[0] = count;
    out.row_stride = count;
    return out;
  }
  const int64_t rows_per_entry = shape[0] == 0 ? 0 : rows() / shape[0];
  out.data = advance(data, begin * rows_per_entry * row_stride, dtype);
  out.shape[0] = count;
  return out;
}

Tensor Tensor::slice_cols(int64_t begin, int64_t count) const {
  require(rank >= 1 && begin >= 0 && count >= 0 && begin + count <= cols(),
          "slice_cols out of range of " + shape_text());
  Tensor out = *this;
  out.data = advance(data, begin, dtype);
  out.shape[static_cast<size_t>(rank - 1)] = count;
  return out;
}

Tensor Tensor::reshape(std::initializer_list<int64_t> dims) const {
  require(dims.size() >= 1 && dims.size() <= 4, "reshape to 1..4 dimensions");
  Tensor out = *this;
  out.rank = static_cast<int>(dims.size());
  out.shape = {};
  int64_t numel_out = 1;
  size_t i = 0;
  for (int64_t d : dims) {
    out.shape[i++] = d;
    numel_out *= d;
  }
  require(numel_out == numel(), "reshape of " + shape_text() + " changes the number of elements");
  if (contiguous()) {
    out.row_stride = out.cols();
    return out;
  }
  require(out.cols() == cols(), "reshape of the strided " + shape_text() + " would move elements");
  return out;
}

std::string Tensor::shape_text() const {
  std::string text = "[";
  for (int i = 0; i < rank; ++i) text += (i ? ", " : "") + std::to_string(dim(i));
  return text + "]";
}

Tensor make_tensor(void* data, DType dtype, std::initializer_list<int64_t> dims, Device device) {
  require(dims.size() >= 1 && dims.size() <= 4, "a tensor has 1..4 dimensions");
  Tensor out;
  out.data = data;
  out.dtype = dtype;
  out.device = device;
  out.rank = static_cast<int>(dims.size());
  size_t i = 0;
  for (int64_t d : dims) out.shape[i++] = d;
  out.row_stride = out.cols();
  return out;
}

bool same_shape(const Tensor& a, const Tensor& b) {
  return a.rank == b.rank && a.shape == b.shape;
}

}  // namespace temper
