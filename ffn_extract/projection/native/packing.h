// Rows of the unembedding as the kernel reads them, with bounds of |e - e'| and |e'|.
#pragma once

#include "base.h"

namespace {

template <class Row>
inline double number_of(Row value) {
  return double(value);
}
template <>
inline double number_of(uint16_t value) {
  return double(from_bf16(value));
}

struct Norms {
  float rounding, size;  // at least |e - e'| and |e'|
};

template <class Rounded>
inline Rounded rounded_to(float number) {
  return number;
}
template <>
inline uint16_t rounded_to(float number) {
  return to_bf16(number);
}

constexpr int kLanes = 8;  // independent sums, which the compiler adds side by side

// Rounds some numbers and adds up the squares of what that takes off and of what it leaves.
template <int count, class Row, class Rounded>
TARGET("avx2")
inline void round_some(const Row* row, Rounded* rounded, double* off, double* size) {
  for (int j = 0; j < count; j++) {
    double exact = number_of(row[j]);
    if constexpr (std::is_same_v<Row, Rounded>) {  // rounding takes nothing off
      rounded[j] = row[j];
      size[j] += exact * exact;
    } else {
      rounded[j] = rounded_to<Rounded>(float(exact));
      double near = number_of(rounded[j]);
      off[j] += (exact - near) * (exact - near);
      size[j] += near * near;
    }
  }
}

// Rounds a row and measures it; `rounded` has room for the padded width.
template <class Row, class Rounded>
TARGET("avx2")
Norms round_row(const Row* row, int64_t d, Rounded* rounded) {
  double off[kLanes] = {}, size[kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= d; k += kLanes) round_some<kLanes>(row + k, rounded + k, off, size);
  for (; k < d; k++) round_some<1>(row + k, rounded + k, off, size);
  double off_sum = 0, size_sum = 0;
  for (int j = 0; j < kLanes; j++) off_sum += off[j], size_sum += size[j];
  return {upwards(std::sqrt(off_sum)), upwards(std::sqrt(size_sum))};
}

// One panel: `step` numbers of a token lie together, those of the 16 tokens side by side. Rows are
// rounded first and then turned, so that the panel is written from its beginning to its end.
template <class Row, class Rounded, int step>
void pack_panel(const Row* rows, const int64_t* places, int64_t from, int64_t n, int64_t d,
                int64_t width, Rounded* packed, float* rounding, float* size) {
  std::vector<Rounded> rounded(kPanel * width);
  for (int t = 0; t < kPanel; t++) {
    Norms norms{0, 0};
    if (from + t < n) norms = round_row(rows + places[from + t] * d, d, &rounded[t * width]);
    rounding[from + t] = norms.rounding;
    size[from + t] = norms.size;
  }
  for (int64_t k = 0; k < width; k += step)
    for (int t = 0; t < kPanel; t++, packed += step)
      std::memcpy(packed, &rounded[t * width + k], step * sizeof(Rounded));
}

template <class Row>
bool pack(const Shape& shape, const Row* rows, const int64_t* places, int64_t n, int64_t d,
          int threads, void* packed, float* rounding, float* size) {
  int64_t width = padded_width(shape, d);
  return share(threads, padded_panels(shape, n), [&](int64_t p) {
    int64_t at = p * kPanel * width;
    if (shape.bf16)
      pack_panel<Row, uint16_t, 2>(rows, places, p * kPanel, n, d, width,
                                   static_cast<uint16_t*>(packed) + at, rounding, size);
    else
      pack_panel<Row, float, 1>(rows, places, p * kPanel, n, d, width,
                                static_cast<float*>(packed) + at, rounding, size);
  });
}

}  // namespace
