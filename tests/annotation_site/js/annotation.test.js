import {EMPTY, canonical, finished, normalise, problem, reduce, same, stopwordsOf, tooSmall} from '/static/annotation/annotation.js';

const rules = {length: 30, categories: ['semantic', 'names'], min_tokens: 4, several_patterns_per_token: false, stopwords: new Set([1, 2])};
const several = {...rules, several_patterns_per_token: true};
const assign = (annotation, number, ranks, on = true, by = rules) => reduce(annotation, {type: 'assign', number, ranks, on}, by);
const ranks = (annotation) => annotation.patterns.map((p) => p.ranks);

export function testATokenLeavesItsOldPattern(equal) {
  const annotation = assign(assign(EMPTY, 1, [3, 1]), 2, [3]);
  equal(ranks(annotation), [[1], [3]]);
}

export function testATokenStaysInItsOldPatternWhereSeveralAreAllowed(equal) {
  equal(ranks(assign(assign(EMPTY, 1, [3, 1], true, several), 2, [3], true, several)), [[1, 3], [3]]);
}

export function testAnActionWithoutEffectGivesTheSameAnswer(equal) {
  const annotation = assign(EMPTY, 1, [1]);
  equal(assign(annotation, 1, [1]) === annotation, true);
  equal(assign(annotation, 7, [1]) === annotation, true);
  equal(reduce(annotation, {type: 'clear', ranks: [9]}, rules) === annotation, true);
  equal(reduce(annotation, {type: 'describe', number: 1, description: ''}, rules) === annotation, true);
}

export function testWhatIsUntouchedKeepsItsIdentity(equal) {
  const annotation = assign(assign(EMPTY, 1, [1]), 2, [2]);
  equal(assign(annotation, 2, [5]).patterns[0] === annotation.patterns[0], true);
}

export function testRemovingAPatternRenumbersTheOthers(equal) {
  const annotation = assign(assign(assign(EMPTY, 1, [1]), 2, [2]), 3, [3]);
  const rest = reduce(annotation, {type: 'remove', number: 2}, rules);
  equal(rest.patterns.map((p) => [p.number, p.ranks]), [[1, [1]], [2, [3]]]);
}

export function testNoPatternAndPatternsExcludeEachOther(equal) {
  const none = reduce(assign(EMPTY, 1, [1]), {type: 'none', on: true}, rules);
  equal([none.no_pattern, none.patterns], [true, []]);
  equal(assign(none, 1, [2]).no_pattern, false);
}

export function testBlankPatternsAreDroppedAndTheOthersNumbered(equal) {
  const annotation = assign(reduce(EMPTY, {type: 'add'}, rules), 2, [4]);
  equal(finished(annotation).patterns.map((p) => [p.number, p.ranks]), [[1, [4]]]);
  equal(same(annotation, assign(EMPTY, 1, [4])), true);
  equal(canonical(reduce(EMPTY, {type: 'add'}, rules)), canonical(EMPTY));
}

export function testProblemsComeInOrder(equal) {
  equal(problem(EMPTY).kind, 'nothing');
  equal(problem(reduce(EMPTY, {type: 'none', on: true}, rules)), null);
  const one = assign(EMPTY, 1, [4]);
  equal(problem(one), {kind: 'no-category', number: 1});
  const named = reduce(one, {type: 'category', number: 1, category: 'names'}, rules);
  equal(problem(named), null);
  equal(tooSmall(named, rules).length, 1);
  const described = reduce(reduce(named, {type: 'add'}, rules), {type: 'describe', number: 2, description: 'x'}, rules);
  equal(problem(described), {kind: 'no-token', number: 2});
}

export function testTheStopwordsFlagIsProposedByMoreThanHalf(equal) {
  const flag = (members) => stopwordsOf(assign(EMPTY, 1, members).patterns[0], rules);
  equal([flag([1, 2, 3]), flag([1, 3]), flag([1])], [true, false, true]);
}

export function testAnyJsonBecomesAnAnswer(equal) {
  equal(normalise(null, rules), EMPTY);
  equal(normalise({patterns: 'x'}, rules), EMPTY);
  const odd = {patterns: [{ranks: [3, 3, 99, '1', 1], category: 'other', description: 5, stopwords: 1}, {ranks: [1]}], no_pattern: true, comment: null};
  equal(normalise(odd, rules), {
    patterns: [
      {number: 1, description: '', category: null, stopwords: null, ranks: [1, 3]},
      {number: 2, description: '', category: null, stopwords: null, ranks: []},
    ],
    no_pattern: false, comment: '',
  });
}
