import {marksByRank, takeAll, takePattern} from '/static/annotation/taking.js';

const rules = {several_patterns_per_token: false};
const several = {several_patterns_per_token: true};
const pattern = (number, ranks, description = 'birds') =>
  ({number, description, category: 'semantic', stopwords: null, ranks});
const own = (...patterns) => ({patterns, no_pattern: false, comment: 'mine'});

export function testAWholeAnswerIsTakenAndTheCommentStays(equal) {
  const theirs = {patterns: [pattern(1, [1, 2])], no_pattern: false, comment: ''};
  equal(takeAll(own(pattern(1, [9])), theirs), {...theirs, comment: 'mine'});
  equal(takeAll(own(pattern(1, [9])), {patterns: [], no_pattern: true, comment: ''}).no_pattern, true);
}

export function testATakenPatternComesLastWithItsTokens(equal) {
  const taken = takePattern(own(pattern(1, [1, 2, 3], 'owls')), pattern(4, [3, 4]), rules);
  equal(taken.patterns.map((p) => [p.number, p.ranks]), [[1, [1, 2]], [2, [3, 4]]]);
}

export function testAPatternThatLosesAllItsTokensGoes(equal) {
  const taken = takePattern(own(pattern(1, [3], 'owls'), pattern(2, [7])), pattern(1, [3, 4]), rules);
  equal(taken.patterns.map((p) => [p.number, p.ranks]), [[1, [7]], [2, [3, 4]]]);
}

export function testTokensStayWhereSeveralPatternsAreAllowed(equal) {
  const taken = takePattern(own(pattern(1, [3], 'owls')), pattern(1, [3, 4]), several);
  equal(taken.patterns.map((p) => p.ranks), [[3], [3, 4]]);
}

export function testTakenTwiceItIsThereOnce(equal) {
  const once = takePattern(own(), pattern(1, [3, 4]), rules);
  equal(takePattern(once, pattern(1, [3, 4]), rules) === once, true);
}

export function testTakingAPatternEndsNoPatternAndBlankOnes(equal) {
  const blank = {number: 1, description: ' ', category: null, stopwords: null, ranks: []};
  const taken = takePattern({patterns: [blank], no_pattern: true, comment: ''}, pattern(1, [1]), rules);
  equal([taken.no_pattern, taken.patterns.length], [false, 1]);
}

export function testMarksStandByRankAndLetter(equal) {
  const marked = marksByRank([
    {letter: 'A', number: 1, counts: true, ranks: [1, 2]},
    {letter: 'B', number: 1, counts: false, ranks: [2]},
    {letter: 'B', number: 2, counts: true, ranks: [2]},
  ]);
  equal(marked.get(1), {A: [{number: 1, counts: true}]});
  equal(marked.get(2), {
    A: [{number: 1, counts: true}], B: [{number: 1, counts: false}, {number: 2, counts: true}]});
  equal(marked.get(3), undefined);
}
