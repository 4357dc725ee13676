// Shapes of the paths, numbers and their roundings, and work that threads share.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
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

namespace {

enum Path : int32_t { kAvx2 = 0, kAvx512 = 1, kAvx512Bf16 = 2, kAmx = 3 };
enum Stored : int32_t { kFloat32 = 0, kBfloat16 = 1, kFloat64 = 2 };

constexpr int kPanel = 16;  // tokens that are multiplied side by side
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kUnit = 0x1p-24;            // half a unit in the last place of float32
constexpr double kSmallest = 0x1p-126;       // smaller numbers may be flushed to zero
constexpr double kLargest = 0x1p100;         // beyond, sums in float32 might overflow
constexpr double kRoom = 1 + 0x1p-20;        // for the rounding of the bounds themselves
constexpr int64_t kMost = int64_t(1) << 31;  // rows or columns
constexpr size_t kFirstPrune = 64;  // candidates of a list before its floor is first raised
constexpr size_t kMostCandidates = 1 << 12;  // of a list; one with more is left to other means

// A path multiplies `rows` vectors by `panels` panels at once. `depth` numbers of both are used up
// for `group` vectors before the next are read, so that they are still near the processor, and so
// are the `held` bytes of vectors that are searched for together.
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

}  // namespace
