// An answer and everything that can be done to it. Pure: no document, no network, no clock.
//
//   Answer  {patterns: [Pattern], no_pattern, comment}
//   Pattern {number, description, category, stopwords, ranks}
//   Rules   {length, categories, min_tokens, several_patterns_per_token, stopwords: Set of ranks}
//
// Nothing is changed in place: what an action leaves keeps its identity, so the view redraws little.

export const MOST_PATTERNS = 30;
export const MOST_DESCRIPTION = 500;
export const MOST_COMMENT = 2000;

export const EMPTY = {patterns: [], no_pattern: false, comment: ''};

/** The annotation in a draft, or in one of its steps; version 0.1 left some in browsers as `answer`. */
export const annotationOf = (kept) => kept?.annotation ?? kept?.answer;

/** An answer as the rules allow it, from any JSON. */
export function normalise(raw, rules) {
  if (!raw || !Array.isArray(raw.patterns)) return EMPTY;
  const taken = new Set();
  const patterns = raw.patterns.slice(0, MOST_PATTERNS).map((p, index) => ({
    number: index + 1,
    description: text(p?.description, MOST_COMMENT),
    category: rules.categories.includes(p?.category) ? p.category : null,
    stopwords: typeof p?.stopwords === 'boolean' ? p.stopwords : null,
    ranks: ranksOf(p?.ranks, rules, taken),
  }));
  return {
    patterns,
    no_pattern: raw.no_pattern === true && patterns.length === 0,
    comment: text(raw.comment, MOST_COMMENT),
  };
}

function text(value, most) {
  // NUL is the one character that the database cannot hold.
  return typeof value === 'string' ? value.replaceAll('\0', '').slice(0, most) : '';
}

function ranksOf(value, rules, taken) {
  const valid = (r) => Number.isInteger(r) && r >= 1 && r <= rules.length;
  const ranks = [...new Set(Array.isArray(value) ? value : [])].filter(
    (r) => valid(r) && (rules.several_patterns_per_token || !taken.has(r)));
  ranks.forEach((r) => taken.add(r));
  return ranks.sort((a, b) => a - b);
}

/** Nothing a person would miss: it goes silently when the answer is submitted. */
export const isBlank = ({ranks, description}) => ranks.length === 0 && description.trim() === '';

/** What is submitted: blank patterns dropped, the others numbered 1, 2, … */
export function finished(annotation) {
  const patterns = annotation.patterns.filter((p) => !isBlank(p))
    .map((p, i) => ({...p, number: i + 1, description: p.description.trim()}));
  return {patterns, no_pattern: annotation.no_pattern, comment: annotation.comment.trim()};
}

/** One text per meaning: a database may reorder keys. */
export function canonical(annotation) {
  const {patterns, no_pattern, comment} = finished(annotation);
  return JSON.stringify([
    patterns.map((p) => [p.description, p.category, p.stopwords, p.ranks]), no_pattern, comment]);
}

export const same = (a, b) => a === b || canonical(a) === canonical(b);

/** Proposed when more than half of the members are stop words or punctuation. */
export function stopwordsProposed(pattern, rules) {
  const hits = pattern.ranks.filter((r) => rules.stopwords.has(r)).length;
  return hits * 2 > pattern.ranks.length;
}

export const stopwordsOf = (pattern, rules) =>
  pattern.stopwords ?? stopwordsProposed(pattern, rules);

/** The numbers of the patterns that hold a rank. */
export const patternsOf = (annotation, rank) =>
  annotation.patterns.filter((p) => p.ranks.includes(rank)).map((p) => p.number);

export const coveredCount = (annotation) => new Set(annotation.patterns.flatMap((p) => p.ranks)).size;

/** The first thing that keeps an answer from being submitted, or null. */
export function problem(annotation) {
  const patterns = annotation.patterns.filter((p) => !isBlank(p));
  if (patterns.length === 0) return annotation.no_pattern ? null : {kind: 'nothing'};
  for (const {number, ranks, category} of patterns) {
    if (ranks.length === 0) return {kind: 'no-token', number};
    if (category === null) return {kind: 'no-category', number};
  }
  return null;
}

/** Patterns that are kept but will not count. */
export const tooSmall = (annotation, rules) =>
  annotation.patterns.filter((p) => p.ranks.length > 0 && p.ranks.length < rules.min_tokens);

const ACTIONS = {
  /** Ranks into a pattern or out of it; the number after the last begins one. */
  assign(annotation, {ranks, number, on = true}, rules) {
    let patterns = annotation.patterns;
    if (number === patterns.length + 1 && on) patterns = [...patterns, blank(number)];
    if (number < 1 || number > patterns.length) return annotation;
    const chosen = new Set(ranks);
    const without = (p) => withRanks(p, p.ranks.filter((r) => !chosen.has(r)));
    const joined = (p) => withRanks(p, [...new Set([...p.ranks, ...ranks])].sort((a, b) => a - b));
    const next = patterns.map((p) => {
      if (p.number === number) return on ? joined(p) : without(p);
      return on && !rules.several_patterns_per_token ? without(p) : p;
    });
    return withPatterns(annotation, next);
  },

  clear(annotation, {ranks}) {
    const chosen = new Set(ranks);
    return withPatterns(annotation, annotation.patterns.map(
      (p) => withRanks(p, p.ranks.filter((r) => !chosen.has(r)))));
  },

  add(annotation) {
    if (annotation.patterns.length >= MOST_PATTERNS) return annotation;
    return withPatterns(annotation, [...annotation.patterns, blank(annotation.patterns.length + 1)]);
  },

  remove(annotation, {number}) {
    const rest = annotation.patterns.filter((p) => p.number !== number);
    return withPatterns(annotation, rest.map((p, i) => (p.number === i + 1 ? p : {...p, number: i + 1})));
  },

  describe: (annotation, {number, description}) =>
    change(annotation, number, {description: text(description, MOST_DESCRIPTION)}),

  category: (annotation, {number, category}) => change(annotation, number, {category}),

  stopwords: (annotation, {number, stopwords}) => change(annotation, number, {stopwords}),

  /** "No pattern" and patterns exclude each other; what goes comes back with one undo. */
  none(annotation, {on}) {
    if (annotation.no_pattern === on) return annotation;
    return {...annotation, no_pattern: on, patterns: on ? EMPTY.patterns : annotation.patterns};
  },

  comment(annotation, {comment}) {
    const kept = text(comment, MOST_COMMENT);
    return kept === annotation.comment ? annotation : {...annotation, comment: kept};
  },

  replace: (annotation, {annotation: other}) => other,
};

export const reduce = (annotation, action, rules) => ACTIONS[action.type](annotation, action, rules);

function blank(number) {
  // No default category: it would tilt the shares that are measured.
  return {number, description: '', category: null, stopwords: null, ranks: []};
}

function withRanks(pattern, ranks) {
  return ranks.length === pattern.ranks.length ? pattern : {...pattern, ranks};
}

function withPatterns(annotation, patterns) {
  const unchanged = patterns.length === annotation.patterns.length
    && patterns.every((p, i) => p === annotation.patterns[i]);
  if (unchanged) return annotation;
  return {...annotation, patterns, no_pattern: annotation.no_pattern && patterns.length === 0};
}

function change(annotation, number, fields) {
  return withPatterns(annotation, annotation.patterns.map((p) => {
    const differs = p.number === number && Object.keys(fields).some((k) => p[k] !== fields[k]);
    return differs ? {...p, ...fields} : p;
  }));
}
