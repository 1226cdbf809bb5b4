// Element types of tensors, and the one switch from a runtime type to a C++ type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"

namespace temper {

enum class DType : uint8_t { f32, f64, bf16, f16, f8_e4m3, i32, i64, u8 };

// Bytes of one element.
constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::f8_e4m3:
    case DType::u8:
      return 1;
  }
  return 0;
}

// The name users and files see: "f32".
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::f8_e4m3:
      return "f8_e4m3";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "?";
}

// The DType of a C++ type.
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}

// Calls body.template operator()<float>() or <double>(): the CPU backend's two arithmetics.
// Use: dispatch_float(x.dtype, [&]<class T>() { ... });
template <class Body>
decltype(auto) dispatch_float(DType dtype, Body&& body) {
  if (dtype == DType::f32) return body.template operator()<float>();
  require(dtype == DType::f64, "the CPU backend computes in f32 or f64");
  return body.template operator()<double>();
}

}  // namespace temper
