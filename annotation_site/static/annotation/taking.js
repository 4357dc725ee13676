// Taking people's answers over into the final one. Pure: no document, no network, no clock.

/** The whole answer; the comment is the adjudicator's own and stays. */
export const takeAll = (own, theirs) => ({...theirs, comment: own.comment});

/**
 * One more pattern. Where a token has one pattern only, its tokens leave the others, and a pattern
 * that loses all of them goes. Taken twice it is there once.
 */
export function takePattern(own, pattern, rules) {
  const taken = new Set(pattern.ranks);
  const equal = (p) => p.description === pattern.description && p.category === pattern.category
    && String(p.ranks) === String(pattern.ranks);
  if (own.patterns.some(equal)) return own;
  const without = (p) => ({...p, ranks: p.ranks.filter((r) => !taken.has(r))});
  const others = rules.several_patterns_per_token ? own.patterns
    : own.patterns.filter((p) => p.ranks.length === 0 || p.ranks.some((r) => !taken.has(r)))
      .map((p) => (p.ranks.some((r) => taken.has(r)) ? without(p) : p));
  const blank = (p) => p.ranks.length === 0 && p.description.trim() === '';
  const patterns = [...others.filter((p) => !blank(p)), pattern]
    .map((p, i) => (p.number === i + 1 ? p : {...p, number: i + 1}));
  return {...own, patterns, no_pattern: false};
}

/** rank → letter → marks {number, counts}; `marks` are {letter, number, counts, ranks}. */
export function marksByRank(marks) {
  const found = new Map();
  for (const {letter, number, counts, ranks} of marks) {
    for (const rank of ranks) {
      if (!found.has(rank)) found.set(rank, {});
      (found.get(rank)[letter] ??= []).push({number, counts});
    }
  }
  return found;
}
