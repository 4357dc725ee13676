// Candidates of exact lists: the tokens that may have one of the k highest or lowest scores e.v.
//
// The unembedding is packed once, in float32 or rounded to bfloat16, and read once for up to some
// hundred vectors v. Scores live in registers and a tile of a few kilobytes and are never written to
// memory. Each score s of a token w comes with a bound b on its error,
//
//   |e.v - s| <= |e - e'| |v| + |e'| |v - v'| + g |e'| |v'|,   g = n u / (1 - n u), u = 2^-24,
//
// where e', v' are the rounded factors and g bounds the rounding of a sum of n products in float32,
// in any order (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1). So s - b
// and s + b enclose the true score. The k-th largest s - b seen is a floor of the list: a token with
// s + b below the floor cannot belong to it, and every other token stays a candidate. What stays is
// scored in float64 in the order of additions of fixed_order.py, which alone decides.
//
// Nothing here depends on the compiler's flags for the processor: each path has its own functions.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#define TARGET(features) __attribute__((target(features)))
#else
#define TARGET(features)
#endif

#ifndef FFN_SOURCE_DIGEST
#define FFN_SOURCE_DIGEST ""
#endif

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

enum Path : int32_t { kAvx2 = 0, kAvx512 = 1, kAvx512Bf16 = 2, kAmx = 3 };
enum Stored : int32_t { kFloat32 = 0, kBfloat16 = 1, kFloat64 = 2 };

constexpr int kPanel = 16;  // tokens that are multiplied side by side
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kUnit = 0x1p-24;      // half a unit in the last place of float32
constexpr double kSmallest = 0x1p-126;  // smaller numbers may be flushed to zero
constexpr double kLargest = 0x1p100;    // beyond, sums in float32 might overflow
constexpr double kRoom = 1 + 0x1p-20;   // for the rounding of the bounds themselves
constexpr int64_t kMost = int64_t(1) << 31;  // rows or columns
constexpr size_t kFirstPrune = 64;     // candidates of a list before its floor is first raised
constexpr size_t kMostCandidates = 1 << 12;  // of a list; one with more is left to other means

// A path multiplies `rows` vectors by `panels` panels at once. `depth` numbers of both are used up for
// `group` vectors before the next are read, so that they are still near the processor, and so are the
// `held` bytes of vectors that are searched for together.
struct Shape {
  int rows, panels;
  bool bf16;
  int group, depth;
  int64_t held;
};

constexpr Shape kShapes[] = {{6, 1, false, 48, 256, 4 << 20},
                             {8, 3, false, 48, 256, 4 << 20},
                             {8, 3, true, 48, 512, 4 << 20},
                             {32, 2, true, 64, 512, 1 << 20}};
constexpr int kMostRows = 64, kMostPanels = 3;

inline float as_float(uint32_t bits) {
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

inline uint16_t to_bf16(float number) {  // round to nearest even
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float from_bf16(uint16_t half) { return as_float(uint32_t(half) << 16); }

float upwards(double bound) {  // at least the bound; not a number is no bound at all
  if (!(bound <= kLargest)) return kInfinity;
  float rounded = float(bound * kRoom);
  return rounded < bound ? std::nextafter(rounded, kInfinity) : rounded;
}

int64_t padded_width(const Shape& shape, int64_t d) { return shape.bf16 ? (d + 31) / 32 * 32 : d; }

int64_t padded_panels(const Shape& shape, int64_t n) {
  int64_t panels = (n + kPanel - 1) / kPanel;
  return (panels + shape.panels - 1) / shape.panels * shape.panels;
}

// Calls work(0) ... work(count - 1) on some threads; false where memory ran out.
template <class Work>
bool share(int threads, int64_t count, const Work& work) {
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  auto run = [&] {
    try {
      for (int64_t i; !failed && (i = next++) < count;) work(i);
    } catch (...) {
      failed = true;
    }
  };
  std::vector<std::thread> helpers;
  for (int64_t i = 1; i < std::min<int64_t>(threads, count); i++) {
    try {
      helpers.emplace_back(run);
    } catch (...) {
      break;  // no more threads: those that run do the work
    }
  }
  run();
  for (auto& helper : helpers) helper.join();
  return !failed;
}

// ---------------------------------------------------------------------------------------- packing

template <class Row>
inline double number_of(Row value) { return double(value); }
template <>
inline double number_of(uint16_t value) { return double(from_bf16(value)); }

struct Norms {
  float rounding, size;  // at least |e - e'| and |e'|
};

template <class Rounded>
inline Rounded rounded_to(float number) { return number; }
template <>
inline uint16_t rounded_to(float number) { return to_bf16(number); }

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

// ------------------------------------------------------------------------------------ the products
//
// Each adds up `depth` numbers of some vectors (row-major) and neighbouring panels, both of `width`
// numbers a row, in a tile: score of row r and token t of panel g at tile[(r * panels + g) * 16 + t],
// which it begins unless there is `more` than what it adds.

#if defined(__x86_64__)

// Sums are in registers only if the compiler unrolls the short loops before it places them.
#define UNROLL _Pragma("GCC unroll 8")

TARGET("avx2,fma")
void product_avx2(const float* vectors, const float* panel, int64_t width, int depth, bool more,
                  float* tile) {
  __m256 sums[6][2];
  UNROLL for (int r = 0; r < 6; r++)
    UNROLL for (int h = 0; h < 2; h++)
      sums[r][h] = more ? _mm256_loadu_ps(tile + r * kPanel + h * 8) : _mm256_setzero_ps();
  for (int k = 0; k < depth; k++) {
    __m256 low = _mm256_loadu_ps(panel + k * kPanel), high = _mm256_loadu_ps(panel + k * kPanel + 8);
    UNROLL for (int r = 0; r < 6; r++) {
      __m256 x = _mm256_broadcast_ss(vectors + r * width + k);
      sums[r][0] = _mm256_fmadd_ps(x, low, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(x, high, sums[r][1]);
    }
  }
  UNROLL for (int r = 0; r < 6; r++)
    UNROLL for (int h = 0; h < 2; h++) _mm256_storeu_ps(tile + r * kPanel + h * 8, sums[r][h]);
}

TARGET("avx512f")
void product_avx512(const float* vectors, const float* panels, int64_t width, int depth, bool more,
                    float* tile) {
  __m512 sums[8][3];
  UNROLL for (int r = 0; r < 8; r++)
    UNROLL for (int g = 0; g < 3; g++)
      sums[r][g] = more ? _mm512_loadu_ps(tile + (r * 3 + g) * kPanel) : _mm512_setzero_ps();
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
  UNROLL for (int r = 0; r < 8; r++)
    UNROLL for (int g = 0; g < 3; g++) _mm512_storeu_ps(tile + (r * 3 + g) * kPanel, sums[r][g]);
}

TARGET("avx512f,avx512bw,avx512vl,avx512bf16")
void product_avx512_bf16(const uint16_t* vectors, const uint16_t* panels, int64_t width, int depth,
                         bool more, float* tile) {
  __m512 sums[8][3];
  UNROLL for (int r = 0; r < 8; r++)
    UNROLL for (int g = 0; g < 3; g++)
      sums[r][g] = more ? _mm512_loadu_ps(tile + (r * 3 + g) * kPanel) : _mm512_setzero_ps();
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
  UNROLL for (int r = 0; r < 8; r++)
    UNROLL for (int g = 0; g < 3; g++) _mm512_storeu_ps(tile + (r * 3 + g) * kPanel, sums[r][g]);
}

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

TARGET("amx-tile,amx-bf16")
void product_amx(const uint16_t* vectors, const uint16_t* panels, int64_t width, int depth, bool more,
                 float* tile) {
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

// ------------------------------------------------------------------------------------- candidates

struct Candidate {
  float most, least;  // bounds of the true score, times the side's sign
  int64_t id;
};

// The candidates of one list so far: every token that may have one of its k best scores.
class List {
 public:
  float floor = -kInfinity;  // k tokens have at least this score
  bool is_open = true;       // false: too many to keep

  void add(Candidate one, size_t k) {
    if (!is_open) return;
    if (!(one.least >= -kInfinity)) one.least = -kInfinity;  // of sums that overflowed
    kept_.push_back(one);
    if (kept_.size() >= room_) prune(k);
  }

  void prune(size_t k) {
    raise(k);
    auto is_out = [this](const Candidate& one) { return one.most < floor; };
    kept_.erase(std::remove_if(kept_.begin(), kept_.end(), is_out), kept_.end());
    room_ = std::max(room_, 2 * kept_.size());
    if (kept_.size() > kMostCandidates) close();
  }

  void take(List& other, size_t k) {
    if (!other.is_open) return close();
    if (!is_open) return;
    kept_.insert(kept_.end(), other.kept_.begin(), other.kept_.end());
    std::vector<Candidate>().swap(other.kept_);
    prune(k);
  }

  const std::vector<Candidate>& kept() const { return kept_; }

 private:
  std::vector<Candidate> kept_;
  size_t room_ = kFirstPrune;

  void raise(size_t k) {
    if (kept_.size() < k) return;
    auto last = kept_.begin() + (k - 1);
    std::nth_element(kept_.begin(), last, kept_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.least > b.least; });
    floor = std::max(floor, last->least);
  }

  void close() {
    is_open = false;
    floor = kInfinity;
    std::vector<Candidate>().swap(kept_);
  }
};

struct Scored {
  double score;
  int64_t id;
};

struct Vector {
  float by_rounding, by_size, constant;  // the bound is rounding * by_rounding + size * by_size + c
};

struct Search {
  Path path;
  Shape shape;
  int64_t d, width, q, rows;  // rows: the vectors, padded for each chunk
  size_t k;
  int sides, threads, ranges;
  int64_t chunks, chunk_rows;
  std::vector<double> vectors;
  std::unique_ptr<char[]> memory;
  char* rounded;
  std::vector<Vector> bounds;            // of padded rows
  std::vector<List> lists[2];            // by range, then row: floors beside each other
  std::vector<std::vector<Scored>> scored[2];
  bool is_complete = false;

  size_t number_bytes() const { return shape.bf16 ? 2 : 4; }
};

// What of a tile may belong to a list is taken in; n tokens are real, the last of a panel may not be.
struct Block {
  const float *rounding, *size;
  const int64_t* ids;
  int64_t n;
};

inline void admit(List& list, float score, float bound, int sign, const Block& block, int64_t token,
                  size_t k) {
  if (token >= block.n) return;
  float signed_score = sign > 0 ? score : -score;
  list.add({signed_score + bound, signed_score - bound, block.ids[token]}, k);
}

#if defined(__x86_64__)

TARGET("avx2,fma")
void filter_avx2(Search& search, List* const lists[2], const Vector* bounds, const float* tile,
                 const Block& block, int64_t token, int rows, int panels) {
  for (int r = 0; r < rows; r++) {
    __m256 by_rounding = _mm256_set1_ps(bounds[r].by_rounding), by_size = _mm256_set1_ps(bounds[r].by_size),
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
    float largest = rounding * bounds[r].by_rounding + (size * bounds[r].by_size + bounds[r].constant);
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
        __m512 bound = _mm512_fmadd_ps(_mm512_loadu_ps(block.size + at), _mm512_set1_ps(bounds[r].by_size),
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
      const auto *floats = reinterpret_cast<const float*>(from), *by = reinterpret_cast<const float*>(panel);
      const auto *halves = reinterpret_cast<const uint16_t*>(from), *with = reinterpret_cast<const uint16_t*>(panel);
      switch (path) {
        case kAvx2: product_avx2(floats, by, width, depth, k > 0, at); break;
        case kAvx512: product_avx512(floats, by, width, depth, k > 0, at); break;
        case kAvx512Bf16: product_avx512_bf16(halves, with, width, depth, k > 0, at); break;
        case kAmx: product_amx(halves, with, width, depth, k > 0, at); break;
      }
    }
  }
}

class Tiles {  // a thread that multiplies tiles says so before and after
 public:
  explicit Tiles(Path path) : used_(path == kAmx) { if (used_) tiles_on(); }
  ~Tiles() { if (used_) tiles_off(); }

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
        if (search.sides & (1 << side)) lists[side] = &search.lists[side][range * search.rows + row];
      filter(search, lists, &search.bounds[row], tile, block, p * kPanel, rows, shape.panels);
    }
}

bool amx_is_there() {
#if defined(__linux__)
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if (!(d & (1u << 22)) || !(d & (1u << 24))) return false;  // amx-bf16, amx-tile
  constexpr long kRequest = 0x1023, kTileData = 18;           // ARCH_REQ_XCOMP_PERM, see arch_prctl(2)
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
    case kAvx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case kAvx512: return avx512;
    case kAvx512Bf16: return avx512 && __builtin_cpu_supports("avx512bf16");
    case kAmx: {
      static const bool is_there = amx_is_there();
      return avx512 && is_there;
    }
    default: return false;
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

// --------------------------------------------------------------------------------------- vectors

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
  return {upwards(size + fixed), upwards(off + growth * near_size + fixed + flushed), upwards(flushed)};
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

// ---------------------------------------------------------------------------------- fixed order

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

// ------------------------------------------------------------------------- what Python may call
//
// Each returns 0, or -1 for sizes that make no sense and -2 where memory ran out. Pointers are
// checked for nothing: search.py hands over arrays of the shapes that are said here.

EXPORTED int32_t ffn_kernel_abi(void) { return 1; }

EXPORTED const char* ffn_kernel_source_digest(void) { return FFN_SOURCE_DIGEST; }

EXPORTED int32_t ffn_kernel_can(int32_t path) { return can(path); }

// Bytes of n packed rows, and how many rows with those of padding: the length of `rounding`, `size`.
EXPORTED int64_t ffn_packed_bytes(int32_t path, int64_t n, int64_t d) {
  if (!is_sane(path, n, d)) return -1;
  const Shape& shape = kShapes[path];
  return padded_panels(shape, n) * kPanel * padded_width(shape, d) * (shape.bf16 ? 2 : 4);
}

EXPORTED int64_t ffn_packed_rows(int32_t path, int64_t n) {
  return is_sane(path, n, 1) ? padded_panels(kShapes[path], n) * kPanel : -1;
}

// Packs rows[places[0]], ..., rows[places[n - 1]] of a matrix with d columns.
EXPORTED int32_t ffn_pack(int32_t path, int32_t stored, const void* rows, const int64_t* places,
                          int64_t n, int64_t d, int32_t threads, void* packed, float* rounding,
                          float* size) {
  if (!is_sane(path, n, d) || threads < 1) return -1;
  const Shape& shape = kShapes[path];
  bool done = false;
  switch (stored) {
    case kFloat32:
      done = pack(shape, static_cast<const float*>(rows), places, n, d, threads, packed, rounding, size);
      break;
    case kBfloat16:
      done = pack(shape, static_cast<const uint16_t*>(rows), places, n, d, threads, packed, rounding, size);
      break;
    case kFloat64:
      done = pack(shape, static_cast<const double*>(rows), places, n, d, threads, packed, rounding, size);
      break;
    default: return -1;
  }
  return done ? 0 : -2;
}

// A search for the k best tokens of q vectors, shape (q, d), on sides 1 (highest), 2 (lowest) or 3.
EXPORTED void* ffn_search_new(int32_t path, const double* vectors, int64_t q, int64_t d, int64_t k,
                              int32_t sides, int32_t threads) {
  if (!is_sane(path, q, d) || q < 1 || k < 1 || k >= kMost || sides < 1 || sides > 3 || threads < 1)
    return nullptr;
  try {
    auto search = std::make_unique<Search>();
    search->path = Path(path);
    search->shape = kShapes[path];
    search->d = d, search->q = q, search->k = size_t(k), search->sides = sides;
    search->threads = threads;
    search->width = padded_width(search->shape, d);
    int64_t row_bytes = search->width * search->number_bytes();
    int64_t most = std::max<int64_t>(search->shape.rows, search->shape.held / row_bytes);
    int64_t chunks = (q + most - 1) / most;
    if (chunks > threads) chunks = (chunks + threads - 1) / threads * threads;
    search->chunk_rows = ((q + chunks - 1) / chunks + search->shape.rows - 1) / search->shape.rows * search->shape.rows;
    search->chunks = (q + search->chunk_rows - 1) / search->chunk_rows;
    search->ranges = int((threads + search->chunks - 1) / search->chunks);
    search->rows = search->chunks * search->chunk_rows;
    search->vectors.assign(vectors, vectors + q * d);
    size_t bytes = size_t(search->rows) * row_bytes;
    search->memory.reset(new char[bytes + 64]());
    search->rounded = search->memory.get() + (64 - reinterpret_cast<uintptr_t>(search->memory.get()) % 64);
    search->bounds.resize(search->rows);
    for (int side = 0; side < 2; side++)
      if (sides & (1 << side)) search->lists[side].resize(search->rows * search->ranges);
    return round_vectors(*search) ? search.release() : nullptr;
  } catch (...) {
    return nullptr;
  }
}

EXPORTED void ffn_search_free(void* search) { delete static_cast<Search*>(search); }

// Takes in n packed rows with their ids, which no other call has brought.
EXPORTED int32_t ffn_search_add(void* handle, const void* packed, const float* rounding,
                                const float* size, const int64_t* ids, int64_t n) {
  Search& search = *static_cast<Search*>(handle);
  if (n < 0 || n >= kMost || search.is_complete) return -1;
  if (!n) return 0;
  Block block{rounding, size, ids, n};
  int64_t steps = padded_panels(search.shape, n) / search.shape.panels;
  bool done = share(search.threads, search.chunks * search.ranges, [&](int64_t task) {
    int64_t chunk = task / search.ranges, range = task % search.ranges;
    int64_t first = steps * range / search.ranges, last = steps * (range + 1) / search.ranges;
    search_part(search, static_cast<const char*>(packed), block, chunk, int(range),
                first * search.shape.panels, last * search.shape.panels);
  });
  return done ? 0 : -2;
}

// Scores those candidates in float64 whose ids lie in start .. stop, by rows of those ids.
EXPORTED int32_t ffn_search_score(void* handle, int32_t stored, const void* rows, int64_t start,
                                  int64_t stop) {
  Search& search = *static_cast<Search*>(handle);
  if (stored < kFloat32 || stored > kFloat64 || start < 0 || stop < start) return -1;
  try {
    complete(search);
  } catch (...) {
    return -2;
  }
  constexpr int64_t kAtOnce = 16;
  bool done = share(search.threads, (search.q + kAtOnce - 1) / kAtOnce, [&](int64_t task) {
    std::vector<double> terms(search.d);
    for (int64_t i = task * kAtOnce; i < std::min(search.q, (task + 1) * kAtOnce); i++)
      for (int side = 0; side < 2; side++) {
        if (!(search.sides & (1 << side))) continue;
        if (stored == kFloat32)
          score_list(search, side, i, static_cast<const float*>(rows), start, stop, terms.data());
        else if (stored == kBfloat16)
          score_list(search, side, i, static_cast<const uint16_t*>(rows), start, stop, terms.data());
        else
          score_list(search, side, i, static_cast<const double*>(rows), start, stop, terms.data());
      }
  });
  return done ? 0 : -2;
}

// The lists of a side (1 or 2), best first: `ids` and `scores` of shape (q, k). `is_found` (q,) is 0
// where there were too many candidates, or too few; such a list holds nothing.
EXPORTED int32_t ffn_search_lists(void* handle, int32_t side, int64_t* ids, double* scores,
                                  uint8_t* is_found) {
  Search& search = *static_cast<Search*>(handle);
  if ((side != 1 && side != 2) || !(search.sides & side) || !search.is_complete) return -1;
  int sign = side == 1 ? 1 : -1;
  bool done = share(search.threads, search.q, [&](int64_t i) {
    auto& found = search.scored[side - 1][i];
    is_found[i] = found.size() >= search.k;
    if (!is_found[i]) return;
    std::partial_sort(found.begin(), found.begin() + search.k, found.end(),
                      [sign](const Scored& a, const Scored& b) { return comes_before(a, b, sign); });
    for (size_t j = 0; j < search.k; j++) {
      ids[i * search.k + j] = found[j].id;
      scores[i * search.k + j] = found[j].score;
    }
  });
  return done ? 0 : -2;
}

// For tests: every score of n packed rows and the bound of its error, both of shape (q, n).
EXPORTED int32_t ffn_search_bounds(void* handle, const void* packed, const float* rounding,
                                   const float* size, int64_t n, float* scores, float* bounds) {
  Search& search = *static_cast<Search*>(handle);
  const Shape& shape = search.shape;
  int64_t row_bytes = search.width * search.number_bytes();
  float tile[kMostRows * kMostPanels * kPanel];
  Tiles tiles(search.path);
  for (int64_t r = 0; r < search.q; r += shape.rows)
    for (int64_t p = 0; p < padded_panels(shape, n); p += shape.panels) {
      product(search.path, shape, search.rounded + r * row_bytes,
              static_cast<const char*>(packed) + p * kPanel * row_bytes, search.width, shape.rows, tile);
      for (int64_t i = r; i < std::min<int64_t>(r + shape.rows, search.q); i++)
        for (int64_t t = p * kPanel; t < std::min<int64_t>(n, (p + shape.panels) * kPanel); t++) {
          const Vector& vector = search.bounds[i];
          scores[i * n + t] = tile[(i - r) * shape.panels * kPanel + t - p * kPanel];
          bounds[i * n + t] = std::fma(rounding[t], vector.by_rounding,
                                       std::fma(size[t], vector.by_size, vector.constant));
        }
    }
  return 0;
}

// How many candidates the lists of all sides have together, for tests and benchmarks.
EXPORTED int64_t ffn_search_candidates(void* handle) {
  Search& search = *static_cast<Search*>(handle);
  int64_t count = 0;
  for (auto& side : search.scored)
    for (auto& list : side) count += int64_t(list.size());
  return count;
}
