import {LETTERS, categoryKeys, commandFor} from '/static/annotation/keyboard.js';

const keys = categoryKeys(['semantic', 'syntactic', 'names']);
const press = (key, more = {}, where = 'list', letters = false) =>
  commandFor({key, code: '', ...more}, {letters, keys, where});

export function testEveryCategoryHasOneKeyThatNothingElseUses(equal) {
  equal([...keys], [['s', 'semantic'], ['y', 'syntactic'], ['a', 'names']]);
  equal([...categoryKeys(['shallow', 'semantic']).keys()], ['s', 'e']);
  equal([...categoryKeys(['', '日本', 'nnn'])], []);
}

export function testKeysMeanCommands(equal) {
  equal(press('j'), {name: 'next'});
  equal(press('ArrowDown', {shiftKey: true}), {name: 'extend-next'});
  equal(press('7'), {name: 'assign', number: 7});
  equal(press('y'), {name: 'category', category: 'syntactic'});
  equal(press('z', {ctrlKey: true}), {name: 'undo'});
  equal(press('Z', {ctrlKey: true, shiftKey: true}), {name: 'redo'});
  equal([press('z'), press('s', {ctrlKey: true}), press('j', {altKey: true}), press('j', {isComposing: true})], [null, null, null, null]);
}

export function testAKeyOfAnotherScriptIsTheLatinOneBesideIt(equal) {
  equal(press('ο', {code: 'KeyJ'}), {name: 'next'});
  equal(press('Г', {code: 'KeyU', shiftKey: true}), {name: 'redo'});
}

export function testControlsKeepTheirOwnKeys(equal) {
  equal([press('Enter', {}, 'control'), press(' ', {}, 'choice'), press('ArrowDown', {}, 'choice')], [null, null, null]);
  equal(press('Enter', {}, 'choice'), {name: 'submit'});
}

export function testHoldingAKeyDownRepeatsOnlyMoves(equal) {
  equal(press('j', {repeat: true}), {name: 'next'});
  equal([press('Enter', {repeat: true}), press('1', {repeat: true})], [null, null]);
}

export function testLettersPickTokens(equal) {
  const pick = (key) => press(key, {}, 'list', true);
  equal(LETTERS.map((letter) => pick(letter).rank), Array.from({length: 30}, (_, i) => i + 1));
  equal([pick('Escape'), pick('Enter'), pick('2')], [{name: 'leave'}, {name: 'leave'}, {name: 'choose', number: 2}]);
}
