// Drives the kernel over shapes and numbers of every kind, compiled with sanitizers, and compares
// its lists with a brute force. Arrays have exactly the sizes that the kernel may touch.
#include <cstdio>
#include <random>

#include "kernel.cpp"

namespace {

std::mt19937_64 generator(7);

double normal() { return std::normal_distribution<double>()(generator); }

template <class Number>
std::vector<Number> copy_of(const std::vector<double>& numbers) {
  return std::vector<Number>(numbers.begin(), numbers.end());
}

template <>
std::vector<uint16_t> copy_of(const std::vector<double>& numbers) {
  std::vector<uint16_t> halves;
  for (double number : numbers) halves.push_back(to_bf16(float(number)));
  return halves;
}

struct Case {
  int64_t n, d, q, k;
  int kind, threads;  // of numbers: 0 normal, 1 all equal, 2 zeros, 3 of very different size
};

template <class Stored>
bool is_right(int path, int stored, const Case& one) {
  std::vector<double> numbers(one.n * one.d), vectors(one.q * one.d);
  for (auto& x : numbers) x = one.kind == 2 ? 0 : one.kind == 1 ? 0.5 : normal();
  if (one.kind == 3)
    for (int64_t i = 0; i < one.n * one.d; i++)
      numbers[i] *= std::ldexp(1.0, int(i / one.d % 200) - 150);
  for (auto& x : vectors) x = std::tanh(normal());
  auto rows = copy_of<Stored>(numbers);
  std::vector<int64_t> places;
  for (int64_t i = 0; i < one.n; i++)
    if (i % 5 != 3) places.push_back(i);
  int64_t kept = int64_t(places.size());
  std::vector<char> packed(ffn_packed_bytes(path, kept, one.d));
  std::vector<float> rounding(ffn_packed_rows(path, kept)), size(rounding.size());
  if (ffn_pack(path, stored, rows.data(), places.data(), kept, one.d, one.threads, packed.data(),
               rounding.data(), size.data()))
    return false;
  void* search = ffn_search_new(path, vectors.data(), one.q, one.d, one.k, 3, one.threads);
  if (!search) return false;
  bool right =
      !ffn_search_add(search, packed.data(), rounding.data(), size.data(), places.data(), kept);
  int64_t half = one.n / 2;
  right = right && !ffn_search_score(search, stored, rows.data(), 0, half);
  right = right && !ffn_search_score(search, stored, rows.data() + half * one.d, half, one.n);
  std::vector<int64_t> ids(one.q * one.k);
  std::vector<double> scores(one.q * one.k), terms(one.d);
  std::vector<uint8_t> found(one.q);
  for (int side = 1; right && side <= 2; side++) {
    right = !ffn_search_lists(search, side, ids.data(), scores.data(), found.data());
    for (int64_t i = 0; i < one.q; i++) {
      if (!found[i]) continue;
      std::vector<Scored> all;
      for (int64_t place : places)
        all.push_back(
            {fixed_order_score(&rows[place * one.d], &vectors[i * one.d], one.d, terms.data()),
             place});
      int sign = side == 1 ? 1 : -1;
      std::sort(all.begin(), all.end(),
                [sign](const Scored& a, const Scored& b) { return comes_before(a, b, sign); });
      for (int64_t j = 0; j < one.k; j++)
        right = right && all[j].id == ids[i * one.k + j] && all[j].score == scores[i * one.k + j];
    }
    int64_t open = std::count(found.begin(), found.end(), 0);
    right = right && (open == 0 || one.n > int64_t(kMostCandidates));
  }
  ffn_search_free(search);
  return right;
}

}  // namespace

int main() {
  const Case cases[] = {{40, 1, 1, 1, 0, 1},    {17, 7, 33, 13, 0, 2},  {400, 33, 9, 30, 0, 3},
                        {300, 64, 70, 5, 3, 2}, {90, 20, 4, 30, 1, 2},  {90, 20, 4, 30, 2, 4},
                        {9000, 5, 3, 2, 1, 2},  {60, 700, 49, 3, 0, 2}, {5, 3, 2, 4, 0, 8}};
  int checked = 0;
  for (int path = 0; path < 4; path++) {
    if (!ffn_kernel_can(path)) continue;
    for (const Case& one : cases) {
      bool right = is_right<float>(path, kFloat32, one) &&
                   is_right<uint16_t>(path, kBfloat16, one) &&
                   is_right<double>(path, kFloat64, one);
      if (!right) {
        std::printf("path %d, %ld x %ld, kind %d: wrong\n", path, long(one.n), long(one.d),
                    one.kind);
        return 1;
      }
      checked++;
    }
  }
  std::printf("%d cases\n", checked);
}
