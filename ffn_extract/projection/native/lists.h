// Candidates of lists, and a search for lists as it goes on.
#pragma once

#include "base.h"

namespace {

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
  std::vector<Vector> bounds;  // of padded rows
  std::vector<List> lists[2];  // by range, then row: floors beside each other
  std::vector<std::vector<Scored>> scored[2];
  bool is_complete = false;

  size_t number_bytes() const { return shape.bf16 ? 2 : 4; }
};

// What of a tile may belong to a list is taken in; n tokens are real, the last of a panel may not
// be.
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

}  // namespace
