// One pass over packed rows: products, and what of them may belong to a list.
#pragma once

#include "lists.h"
#include "products.h"

namespace {

#if defined(__x86_64__)

TARGET("avx2,fma")
void filter_avx2(Search& search, List* const lists[2], const Vector* bounds, const float* tile,
                 const Block& block, int64_t token, int rows, int panels) {
  for (int r = 0; r < rows; r++) {
    __m256 by_rounding = _mm256_set1_ps(bounds[r].by_rounding),
           by_size = _mm256_set1_ps(bounds[r].by_size),
           constant = _mm256_set1_ps(bounds[r].constant);
    for (int g = 0; g < panels * 2; g++) {
      int64_t at = token + g * 8;
      __m256 score = _mm256_loadu_ps(tile + r * panels * kPanel + g * 8);
      __m256 bound = _mm256_fmadd_ps(_mm256_loadu_ps(block.size + at), by_size, constant);
      bound = _mm256_fmadd_ps(_mm256_loadu_ps(block.rounding + at), by_rounding, bound);
      for (int side = 0; side < 2; side++) {
        if (!lists[side]) continue;
        List& list = lists[side][r];
        __m256 most = side ? _mm256_sub_ps(bound, score) : _mm256_add_ps(bound, score);
        int mask = _mm256_movemask_ps(_mm256_cmp_ps(most, _mm256_set1_ps(list.floor), _CMP_NLT_UQ));
        if (!mask) continue;
        float scores[8], errors[8];
        _mm256_storeu_ps(scores, score);
        _mm256_storeu_ps(errors, bound);
        for (; mask; mask &= mask - 1) {
          int t = __builtin_ctz(mask);
          admit(list, scores[t], errors[t], side ? -1 : 1, block, at + t, search.k);
        }
      }
    }
  }
}

TARGET("avx512f")
void filter_avx512(Search& search, List* const lists[2], const Vector* bounds, const float* tile,
                   const Block& block, int64_t token, int rows, int panels) {
  float rounding = 0, size = 0;  // the largest of all these tokens
  for (int g = 0; g < panels; g++) {
    int64_t at = token + g * kPanel;
    rounding = std::max(rounding, _mm512_reduce_max_ps(_mm512_loadu_ps(block.rounding + at)));
    size = std::max(size, _mm512_reduce_max_ps(_mm512_loadu_ps(block.size + at)));
  }
  for (int r = 0; r < rows; r++) {
    // With the largest bound first, which lets nearly all pass by; then with each token's own.
    float largest =
        rounding * bounds[r].by_rounding + (size * bounds[r].by_size + bounds[r].constant);
    for (int side = 0; side < 2; side++) {
      if (!lists[side]) continue;
      List& list = lists[side][r];
      float least = list.floor - largest;
      __m512 limit = _mm512_set1_ps(side ? -least : least);
      for (int g = 0; g < panels; g++) {
        __m512 score = _mm512_loadu_ps(tile + (r * panels + g) * kPanel);
        unsigned mask = side ? _mm512_cmp_ps_mask(score, limit, _CMP_NGT_UQ)
                             : _mm512_cmp_ps_mask(score, limit, _CMP_NLT_UQ);
        if (!mask) continue;
        int64_t at = token + g * kPanel;
        __m512 bound =
            _mm512_fmadd_ps(_mm512_loadu_ps(block.size + at), _mm512_set1_ps(bounds[r].by_size),
                            _mm512_set1_ps(bounds[r].constant));
        bound = _mm512_fmadd_ps(_mm512_loadu_ps(block.rounding + at),
                                _mm512_set1_ps(bounds[r].by_rounding), bound);
        __m512 most = side ? _mm512_sub_ps(bound, score) : _mm512_add_ps(bound, score);
        mask &= _mm512_cmp_ps_mask(most, _mm512_set1_ps(list.floor), _CMP_NLT_UQ);
        float scores[kPanel], errors[kPanel];
        _mm512_storeu_ps(scores, score);
        _mm512_storeu_ps(errors, bound);
        for (; mask; mask &= mask - 1) {
          int t = __builtin_ctz(mask);
          admit(list, scores[t], errors[t], side ? -1 : 1, block, at + t, search.k);
        }
      }
    }
  }
}

// Scores of a group of vectors and neighbouring panels, see above.
void product(Path path, const Shape& shape, const char* vectors, const char* panels, int64_t width,
             int rows, float* tile) {
  int64_t bytes = shape.bf16 ? 2 : 4;
  for (int64_t k = 0; k < width; k += shape.depth) {
    int depth = int(std::min<int64_t>(shape.depth, width - k));
    for (int r = 0; r < rows; r += shape.rows) {
      const char *from = vectors + (r * width + k) * bytes, *panel = panels + k * kPanel * bytes;
      float* at = tile + r * shape.panels * kPanel;
      const auto *floats = reinterpret_cast<const float*>(from),
                 *by = reinterpret_cast<const float*>(panel);
      const auto *halves = reinterpret_cast<const uint16_t*>(from),
                 *with = reinterpret_cast<const uint16_t*>(panel);
      switch (path) {
        case kAvx2:
          product_avx2(floats, by, width, depth, k > 0, at);
          break;
        case kAvx512:
          product_avx512(floats, by, width, depth, k > 0, at);
          break;
        case kAvx512Bf16:
          product_avx512_bf16(halves, with, width, depth, k > 0, at);
          break;
        case kAmx:
          product_amx(halves, with, width, depth, k > 0, at);
          break;
      }
    }
  }
}

class Tiles {  // a thread that multiplies tiles says so before and after
 public:
  explicit Tiles(Path path) : used_(path == kAmx) {
    if (used_) tiles_on();
  }
  ~Tiles() {
    if (used_) tiles_off();
  }

 private:
  bool used_;
};

// One chunk of vectors against one range of panels.
void search_part(Search& search, const char* packed, const Block& block, int64_t chunk, int range,
                 int64_t first, int64_t last) {
  const Shape& shape = search.shape;
  int64_t row_bytes = search.width * search.number_bytes();
  int64_t real = std::min(search.chunk_rows, search.q - chunk * search.chunk_rows);
  alignas(64) float tile[kMostRows * kMostPanels * kPanel];
  Tiles tiles(search.path);
  auto filter = search.path == kAvx2 ? filter_avx2 : filter_avx512;
  for (int64_t p = first; p < last; p += shape.panels)
    for (int64_t r = 0; r < real; r += shape.group) {
      int64_t row = chunk * search.chunk_rows + r;
      int rows = int(std::min<int64_t>(shape.group, real - r));
      product(search.path, shape, search.rounded + row * row_bytes, packed + p * kPanel * row_bytes,
              search.width, rows, tile);
      List* lists[2] = {nullptr, nullptr};
      for (int side = 0; side < 2; side++)
        if (search.sides & (1 << side))
          lists[side] = &search.lists[side][range * search.rows + row];
      filter(search, lists, &search.bounds[row], tile, block, p * kPanel, rows, shape.panels);
    }
}

bool amx_is_there() {
#if defined(__linux__)
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if (!(d & (1u << 22)) || !(d & (1u << 24))) return false;  // amx-bf16, amx-tile
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, see arch_prctl(2)
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

bool can(int32_t path) {
  __builtin_cpu_init();
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl");
  switch (path) {
    case kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case kAvx512:
      return avx512;
    case kAvx512Bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
    case kAmx: {
      static const bool is_there = amx_is_there();
      return avx512 && is_there;
    }
    default:
      return false;
  }
}

#else

struct Tiles {
  explicit Tiles(Path) {}
};

bool can(int32_t) { return false; }
void product(Path, const Shape&, const char*, const char*, int64_t, int, float*) {}
void search_part(Search&, const char*, const Block&, int64_t, int, int64_t, int64_t) {}

#endif

bool is_sane(int32_t path, int64_t n, int64_t d) {
  return can(path) && n >= 0 && d >= 1 && n < kMost && d < kMost && n <= kMost * 64 / d;
}

}  // namespace
