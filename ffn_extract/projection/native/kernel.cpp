// Candidates of exact lists: the tokens that may have one of the k highest or lowest scores e.v.
//
// The unembedding is packed once, in float32 or rounded to bfloat16, and read once for up to some
// hundred vectors v. Scores live in registers and a tile of a few kilobytes and are never written
// to memory. Each score s of a token w comes with a bound b on its error,
//
//   |e.v - s| <= |e - e'| |v| + |e'| |v - v'| + g |e'| |v'|,   g = n u / (1 - n u), u = 2^-24,
//
// where e', v' are the rounded factors and g bounds the rounding of a sum of n products in float32,
// in any order (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1). So s - b
// and s + b enclose the true score. The k-th largest s - b seen is a floor of the list: a token
// with s + b below the floor cannot belong to it, and every other token stays a candidate. What
// stays is scored in float64 in the order of additions of fixed_order.py, which alone decides.
//
// Nothing here depends on the compiler's flags for the processor: each path has its own functions.

#include "packing.h"
#include "scoring.h"
#include "search.h"

#ifndef FFN_SOURCE_DIGEST
#define FFN_SOURCE_DIGEST ""
#endif

#define EXPORTED extern "C" __attribute__((visibility("default")))

// Python may call what follows. Each returns 0, or -1 for sizes that make no sense and -2 where memory ran out. Pointers are
// checked for nothing: search.py hands over arrays of the shapes that are said here.

EXPORTED const char* ffn_kernel_source_digest(void) { return FFN_SOURCE_DIGEST; }

EXPORTED int32_t ffn_kernel_can(int32_t path) { return can(path); }

// Bytes of n packed rows, and how many rows with those of padding: the length of `rounding`,
// `size`.
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
      done = pack(shape, static_cast<const float*>(rows), places, n, d, threads, packed, rounding,
                  size);
      break;
    case kBfloat16:
      done = pack(shape, static_cast<const uint16_t*>(rows), places, n, d, threads, packed,
                  rounding, size);
      break;
    case kFloat64:
      done = pack(shape, static_cast<const double*>(rows), places, n, d, threads, packed, rounding,
                  size);
      break;
    default:
      return -1;
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
    search->chunk_rows = ((q + chunks - 1) / chunks + search->shape.rows - 1) / search->shape.rows *
                         search->shape.rows;
    search->chunks = (q + search->chunk_rows - 1) / search->chunk_rows;
    search->ranges = int((threads + search->chunks - 1) / search->chunks);
    search->rows = search->chunks * search->chunk_rows;
    search->vectors.assign(vectors, vectors + q * d);
    size_t bytes = size_t(search->rows) * row_bytes;
    search->memory.reset(new char[bytes + 64]());
    search->rounded =
        search->memory.get() + (64 - reinterpret_cast<uintptr_t>(search->memory.get()) % 64);
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
          score_list(search, side, i, static_cast<const uint16_t*>(rows), start, stop,
                     terms.data());
        else
          score_list(search, side, i, static_cast<const double*>(rows), start, stop, terms.data());
      }
  });
  return done ? 0 : -2;
}

// The lists of a side (1 or 2), best first: `ids` and `scores` of shape (q, k). `is_found` (q,) is
// 0 where there were too many candidates, or too few; such a list holds nothing.
EXPORTED int32_t ffn_search_lists(void* handle, int32_t side, int64_t* ids, double* scores,
                                  uint8_t* is_found) {
  Search& search = *static_cast<Search*>(handle);
  if ((side != 1 && side != 2) || !(search.sides & side) || !search.is_complete) return -1;
  int sign = side == 1 ? 1 : -1;
  bool done = share(search.threads, search.q, [&](int64_t i) {
    auto& found = search.scored[side - 1][i];
    is_found[i] = found.size() >= search.k;
    if (!is_found[i]) return;
    std::partial_sort(
        found.begin(), found.begin() + search.k, found.end(),
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
              static_cast<const char*>(packed) + p * kPanel * row_bytes, search.width, shape.rows,
              tile);
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
