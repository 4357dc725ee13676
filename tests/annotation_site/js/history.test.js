import {EMPTY, reduce} from '/static/annotation/annotation.js';
import {act, redo, start, toContent, undo} from '/static/annotation/history.js';

const rules = {length: 30, categories: ['semantic'], min_tokens: 4, several_patterns_per_token: false, stopwords: new Set()};
const begin = () => start(EMPTY, null, rules);
const assign = (state, number, ...ranks) => act(state, {type: 'assign', number, ranks}, rules);
const again = (state) => {
  const {annotation, ui} = JSON.parse(JSON.stringify(toContent(state)));
  return start(annotation, ui, rules);
};

export function testUndoAndRedoAreInverse(equal) {
  const one = assign(begin(), 1, 1);
  const two = assign(one, 2, 5);
  equal(undo(two).annotation, one.annotation);
  equal(undo(undo(two)).annotation, EMPTY);
  equal(redo(redo(undo(undo(two)))).annotation, two.annotation);
  equal(undo(begin()).past, []);
}

export function testAChangeForgetsWhatWasUndone(equal) {
  const state = assign(undo(assign(begin(), 1, 1)), 1, 2);
  equal([state.future, redo(state) === state], [[], true]);
}

export function testActionsThatBelongTogetherMakeOneStep(equal) {
  let state = assign(begin(), 1, 1);
  for (const description of ['a', 'ab', 'abc']) {
    state = act(state, {type: 'describe', number: 1, description, merge: 'text-1'}, rules);
  }
  equal([state.past.length, undo(state).annotation.patterns[0].description], [2, '']);
}

export function testTheHistoryOutlivesTheServer(equal) {
  const state = undo(assign(assign(begin(), 1, 1, 2), 2, 3));
  const back = again(state);
  equal(undo(back).annotation, EMPTY);
  equal(redo(back).annotation, redo(state).annotation);
  equal([back.current, back.cursor], [state.current, state.cursor]);
}

export function testAnUnreadableHistoryIsNone(equal) {
  const state = start(EMPTY, {past: 'x', future: [null, {annotation: 4}], current: 'many', cursor: -2}, rules);
  equal([state.past, state.future.length, state.current, state.cursor], [[], 2, 0, 1]);
}

export function testALongHistoryStaysSmall(equal) {
  let state = assign(begin(), 1, 1);
  for (let i = 0; i < 300; i += 1) {
    state = act(state, {type: 'describe', number: 1, description: `${i} ${'ü'.repeat(400)}`}, rules);
  }
  const content = toContent(state);
  equal(JSON.stringify(content).length < 48_000, true);
  const last = content.ui.past.at(-1).annotation.patterns[0].description;
  equal(last.startsWith('298 '), true);
  equal(reduce(content.annotation, {type: 'clear', ranks: [1]}, rules).patterns[0].ranks, []);
}
