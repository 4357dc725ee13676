// Vectors with their bounds before the pass, and float64 scores of the candidates after it.
#pragma once

#include "lists.h"

namespace {

template <class Rounded>
Vector round_vector(const double* vector, int64_t d, Rounded* rounded) {
  double off = 0, size = 0, near_size = 0;
  for (int64_t k = 0; k < d; k++) {
    double near;
    if constexpr (std::is_same_v<Rounded, uint16_t>) {
      rounded[k] = to_bf16(float(vector[k]));
      near = from_bf16(rounded[k]);
    } else {
      near = rounded[k] = float(vector[k]);
    }
    off += (vector[k] - near) * (vector[k] - near);
    size += vector[k] * vector[k];
    near_size += near * near;
  }
  off = std::sqrt(off), size = std::sqrt(size), near_size = std::sqrt(near_size);
  // Two more roundings than products and sums, for s - b and s + b, and some to spare.
  double n = double(d) + 8, growth = n * kUnit / (1 - n * kUnit);
  double fixed = 0x1p-40 * size;  // far more than a float64 sum of products is off, whatever d
  double flushed = 4 * double(d) * kSmallest;
  return {upwards(size + fixed), upwards(off + growth * near_size + fixed + flushed),
          upwards(flushed)};
}

bool round_vectors(Search& search) {
  return share(search.threads, search.q, [&](int64_t i) {
    const double* vector = &search.vectors[i * search.d];
    char* at = search.rounded + i * search.width * search.number_bytes();
    search.bounds[i] = search.shape.bf16
                           ? round_vector(vector, search.d, reinterpret_cast<uint16_t*>(at))
                           : round_vector(vector, search.d, reinterpret_cast<float*>(at));
  });
}

// As fixed_order_sum of the products: the upper half is folded onto the lower until one is left.
// The first three folds of a width that they divide evenly are made before anything is stored.
template <class Row>
TARGET("avx2")
double fixed_order_score(const Row* row, const double* vector, int64_t d, double* terms) {
  int64_t width = d;
  if (d % 8 == 0) {
    width = d / 8;
    for (int64_t k = 0; k < width; k++) {
      auto product = [&](int64_t part) {
        return number_of(row[k + part * width]) * vector[k + part * width];
      };
      double low = (product(0) + product(4)) + (product(2) + product(6));
      double high = (product(1) + product(5)) + (product(3) + product(7));
      terms[k] = low + high;
    }
  } else {
    for (int64_t k = 0; k < d; k++) terms[k] = number_of(row[k]) * vector[k];
  }
  while (width > 1) {
    int64_t half = width / 2;
    const double* upper = terms + width - half;
    for (int64_t k = 0; k < half; k++) terms[k] += upper[k];
    width -= half;
  }
  return terms[0];
}

// Rows lie far apart in memory, so the next one is sent for while one is scored.
template <class Row>
inline void send_for(const Row* row, int64_t d) {
  const char* bytes = reinterpret_cast<const char*>(row);
  for (size_t at = 0; at < std::min<size_t>(d * sizeof(Row), 4096); at += 64)
    __builtin_prefetch(bytes + at);
}

template <class Row>
void score_list(Search& search, int side, int64_t vector, const Row* rows, int64_t start,
                int64_t stop, double* terms) {
  const double* numbers = &search.vectors[vector * search.d];
  auto& scored = search.scored[side][vector];
  auto row_of = [&](size_t i) { return rows + (scored[i].id - start) * search.d; };
  auto is_here = [&](size_t i) { return scored[i].id >= start && scored[i].id < stop; };
  for (size_t i = 0; i < scored.size(); i++) {
    if (i + 1 < scored.size() && is_here(i + 1)) send_for(row_of(i + 1), search.d);
    if (is_here(i)) scored[i].score = fixed_order_score(row_of(i), numbers, search.d, terms);
  }
}

void complete(Search& search) {
  if (search.is_complete) return;
  search.is_complete = true;
  for (int side = 0; side < 2; side++) {
    if (!(search.sides & (1 << side))) continue;
    search.scored[side].resize(search.q);
    for (int64_t i = 0; i < search.q; i++) {
      List& list = search.lists[side][i];
      for (int range = 1; range < search.ranges; range++)
        list.take(search.lists[side][range * search.rows + i], search.k);
      list.prune(search.k);
      for (const auto& one : list.kept()) search.scored[side][i].push_back({0, one.id});
    }
  }
}

bool comes_before(const Scored& a, const Scored& b, int sign) {
  double x = sign * a.score, y = sign * b.score;
  bool x_is_none = std::isnan(x), y_is_none = std::isnan(y);
  if (x_is_none != y_is_none) return y_is_none;
  if (!x_is_none && x != y) return x > y;
  return a.id < b.id;
}

}  // namespace
