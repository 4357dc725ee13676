// The products of each path.
//
// Each adds up `depth` numbers of some vectors (row-major) and neighbouring panels, both of `width`
// numbers a row, in a tile: score of row r and token t of panel g at tile[(r * panels + g) * 16 +
// t], which it begins unless there is `more` than what it adds.
#pragma once

#include "base.h"

namespace {

#if defined(__x86_64__)

// Sums are in registers only if the compiler unrolls the short loops before it places them.
#define UNROLL _Pragma("GCC unroll 8")

TARGET("avx2,fma")
void product_avx2(const float* vectors, const float* panel, int64_t width, int depth, bool more,
                  float* tile) {
  __m256 sums[6][2];
  UNROLL for (int r = 0; r < 6; r++) UNROLL for (int h = 0; h < 2; h++) sums[r][h] =
      more ? _mm256_loadu_ps(tile + r * kPanel + h * 8) : _mm256_setzero_ps();
  for (int k = 0; k < depth; k++) {
    __m256 low = _mm256_loadu_ps(panel + k * kPanel),
           high = _mm256_loadu_ps(panel + k * kPanel + 8);
    UNROLL for (int r = 0; r < 6; r++) {
      __m256 x = _mm256_broadcast_ss(vectors + r * width + k);
      sums[r][0] = _mm256_fmadd_ps(x, low, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(x, high, sums[r][1]);
    }
  }
  UNROLL for (int r = 0; r < 6; r++) UNROLL for (int h = 0; h < 2; h++)
      _mm256_storeu_ps(tile + r * kPanel + h * 8, sums[r][h]);
}

TARGET("avx512f")
void product_avx512(const float* vectors, const float* panels, int64_t width, int depth, bool more,
                    float* tile) {
  __m512 sums[8][3];
  UNROLL for (int r = 0; r < 8; r++) UNROLL for (int g = 0; g < 3; g++) sums[r][g] =
      more ? _mm512_loadu_ps(tile + (r * 3 + g) * kPanel) : _mm512_setzero_ps();
  const float *second = panels + width * kPanel, *third = second + width * kPanel;
  for (int k = 0; k < depth; k++) {
    __m512 b0 = _mm512_loadu_ps(panels + k * kPanel), b1 = _mm512_loadu_ps(second + k * kPanel),
           b2 = _mm512_loadu_ps(third + k * kPanel);
    UNROLL for (int r = 0; r < 8; r++) {
      __m512 x = _mm512_set1_ps(vectors[r * width + k]);
      sums[r][0] = _mm512_fmadd_ps(x, b0, sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(x, b1, sums[r][1]);
      sums[r][2] = _mm512_fmadd_ps(x, b2, sums[r][2]);
    }
  }
  UNROLL for (int r = 0; r < 8; r++) UNROLL for (int g = 0; g < 3; g++)
      _mm512_storeu_ps(tile + (r * 3 + g) * kPanel, sums[r][g]);
}

TARGET("avx512f,avx512bw,avx512vl,avx512bf16")
void product_avx512_bf16(const uint16_t* vectors, const uint16_t* panels, int64_t width, int depth,
                         bool more, float* tile) {
  __m512 sums[8][3];
  UNROLL for (int r = 0; r < 8; r++) UNROLL for (int g = 0; g < 3; g++) sums[r][g] =
      more ? _mm512_loadu_ps(tile + (r * 3 + g) * kPanel) : _mm512_setzero_ps();
  const uint16_t *second = panels + width * kPanel, *third = second + width * kPanel;
  for (int k = 0; k < depth; k += 2) {
    __m512bh b0 = (__m512bh)_mm512_loadu_si512(panels + k * kPanel),
             b1 = (__m512bh)_mm512_loadu_si512(second + k * kPanel),
             b2 = (__m512bh)_mm512_loadu_si512(third + k * kPanel);
    UNROLL for (int r = 0; r < 8; r++) {
      int32_t pair;
      std::memcpy(&pair, vectors + r * width + k, sizeof pair);
      __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], x, b0);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], x, b1);
      sums[r][2] = _mm512_dpbf16_ps(sums[r][2], x, b2);
    }
  }
  UNROLL for (int r = 0; r < 8; r++) UNROLL for (int g = 0; g < 3; g++)
      _mm512_storeu_ps(tile + (r * 3 + g) * kPanel, sums[r][g]);
}

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

TARGET("amx-tile,amx-bf16")
void product_amx(const uint16_t* vectors, const uint16_t* panels, int64_t width, int depth,
                 bool more, float* tile) {
  const uint16_t *lower = vectors + 16 * width, *second = panels + width * kPanel;
  float *right = tile + kPanel, *below = tile + 16 * 2 * kPanel, *last = below + kPanel;
  constexpr int kRow = 2 * kPanel * sizeof(float);
  if (more) {
    _tile_loadd(0, tile, kRow);
    _tile_loadd(1, right, kRow);
    _tile_loadd(2, below, kRow);
    _tile_loadd(3, last, kRow);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int k = 0; k < depth; k += 32) {
    _tile_loadd(4, vectors + k, width * 2);
    _tile_loadd(6, panels + k * kPanel, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, second + k * kPanel, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, lower + k, width * 2);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, tile, kRow);
  _tile_stored(1, right, kRow);
  _tile_stored(2, below, kRow);
  _tile_stored(3, last, kRow);
}

TARGET("amx-tile")
void tiles_on() {
  // In memory from the start: some compilers take only its first bytes to be read, and leave out
  // the writing of the others.
  static const TileConfig config;
  _tile_loadconfig(&config);
}

TARGET("amx-tile")
void tiles_off() { _tile_release(); }

#endif

}  // namespace
