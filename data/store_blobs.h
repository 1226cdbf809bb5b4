// Arrays as database blobs: packed, little-endian, no header. The length is the blob's size.
#pragma once

#include <bit>
#include <cstring>
#include <vector>

#include "data/sqlite_statement.h"

namespace temper {

static_assert(std::endian::native == std::endian::little,
              "blobs are the array's own bytes, which must be little-endian");

// The bytes of an array of int32_t, float or uint8_t; a view, not a copy.
template <class T>
Blob as_blob(std::span<const T> values) {
  return std::as_bytes(values);
}

// The array that a blob holds. Throws SystemError if its size is no multiple of sizeof(T).
template <class T>
std::vector<T> from_blob(Blob blob) {
  if (blob.size() % sizeof(T) != 0) {
    throw SystemError("the database holds a blob of " + std::to_string(blob.size()) +
                      " bytes where elements of " + std::to_string(sizeof(T)) + " should be");
  }
  std::vector<T> values(blob.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), blob.data(), blob.size());
  return values;
}

}  // namespace temper
