import {likenesses} from '/static/annotation/spelling.js';

const alike = (...displays) => likenesses(displays, true).map((likeness) => likeness.alike);

export function testDuplicatesAndCaseVariantsAreToldByRank(equal) {
  const [first] = likenesses(['Name', 'name', 'Name', '⋯name'], false);
  equal(first, {inside: false, same: [3], variants: [2], alike: []});
  equal(likenesses(['⋯name'], false)[0].inside, true);
}

export function testAWordAndThePieceOfItsLettersAreSpelledAlike(equal) {
  equal(alike('Name', '⋯name', ' name'), [[2, 3], [1, 3], [1, 2]]);
}

export function testFourLettersAtTheBeginningOrTheEndAreEnough(equal) {
  equal(alike('preceded', 'preceding', 'darkness', 'Kindness'), [[2], [1], [4], [3]]);
  equal(alike('dislike', 'disarm', 'running', 'jumping'), [[], [], [], []]);
}

export function testSignsAndDigitsAreNoLetters(equal) {
  equal(alike('2001', '20012', '----a', '----b', '', ''), [[], [], [], [], [], []]);
}

export function testOtherScriptsCount(equal) {
  equal(alike('красота', 'красный'), [[2], [1]]);
}
