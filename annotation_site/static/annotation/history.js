// Undo and redo over everything, also after a reload: the steps travel with the draft.
//
// State {answer, current, cursor, past, future, merge}: `current` is the number of the pattern
// that clicks go to (0: none yet), `cursor` a rank, `past` and `future` are steps
// {answer, current, cursor}. Steps that belong together (one drag, one sitting in a text field)
// carry the same `merge` and make one step.

import {normalise, reduce} from './answer.js';

const MOST_STEPS = 200;
// Room for the answer itself is left below what the server takes. Counted with every
// non-ASCII character as six, the way the server counts.
const MOST_CHARACTERS = 40_000;

export function start(answer, ui, rules) {
  const clamp = (n, low, high) => Math.min(Math.max(Number.isInteger(n) ? n : low, low), high);
  return {
    answer,
    current: clamp(ui?.current, Math.min(1, answer.patterns.length), answer.patterns.length),
    cursor: clamp(ui?.cursor, 1, rules.length),
    past: unpack(ui, 'past', rules),
    future: unpack(ui, 'future', rules),
    merge: null,
  };
}

/** Apply an action; the same state comes back when it changes nothing. */
export function act(state, action, rules) {
  const answer = reduce(state.answer, action, rules);
  if (answer === state.answer) return state;
  const merged = action.merge && action.merge === state.merge;
  const past = merged ? state.past : [...state.past.slice(1 - MOST_STEPS), step(state)];
  return {
    ...state, answer, past, future: [],
    merge: action.merge ?? null, current: currentAfter(state, action, answer),
  };
}

function currentAfter({current}, action, answer) {
  const last = answer.patterns.length;
  if (action.type === 'add') return last;
  if (action.type === 'assign' && action.on !== false) return Math.min(action.number, last);
  return Math.min(Math.max(current, Math.min(1, last)), last);
}

const step = ({answer, current, cursor}) => ({answer, current, cursor});

export function undo(state) {
  if (state.past.length === 0) return state;
  const past = state.past.slice(0, -1);
  return {...state, ...state.past.at(-1), past, future: [...state.future, step(state)], merge: null};
}

export function redo(state) {
  if (state.future.length === 0) return state;
  const future = state.future.slice(0, -1);
  return {...state, ...state.future.at(-1), future, past: [...state.past, step(state)], merge: null};
}

/** What is saved: the answer and the history, the oldest steps dropped when it gets too long. */
export function toContent(state) {
  let {past, future} = state;
  for (;;) {
    const content = {
      answer: state.answer,
      ui: {current: state.current, cursor: state.cursor, ...pack(past, future)},
    };
    if (past.length + future.length === 0 || sizeOf(content.ui) <= MOST_CHARACTERS) return content;
    past = past.slice(Math.ceil(past.length / 4));
    if (past.length === 0) future = future.slice(Math.ceil(future.length / 4));
  }
}

function sizeOf(value) {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, '\\u0000').length;
}

// A step is a few dozen characters: texts are written once and referred to, ranks are one
// character each in base 36 (or two, after a dot).

function pack(past, future) {
  const texts = [];
  const places = new Map();
  const intern = (text) => {
    if (!places.has(text)) places.set(text, texts.push(text) - 1);
    return places.get(text);
  };
  const packed = ({answer, current, cursor}) => [
    current, cursor, answer.no_pattern ? 1 : 0, intern(answer.comment),
    ...answer.patterns.map((p) => [
      intern(p.description), p.category === null ? -1 : intern(p.category), p.stopwords,
      p.ranks.map((r) => (r < 36 ? r.toString(36) : `.${r.toString(36).padStart(2, '0')}`)).join(''),
    ]),
  ];
  return {past: past.map(packed), future: future.map(packed), texts};
}

function unpack(ui, which, rules) {
  const texts = Array.isArray(ui?.texts) ? ui.texts : [];
  const steps = Array.isArray(ui?.[which]) ? ui[which] : [];
  return steps.filter(Array.isArray).map(([current, cursor, none, comment, ...patterns]) => {
    const answer = normalise({
      no_pattern: none === 1,
      comment: texts[comment],
      patterns: patterns.filter(Array.isArray).map(([description, category, stopwords, ranks]) => ({
        description: texts[description], category: texts[category], stopwords,
        ranks: (String(ranks).match(/\.(..)|./g) ?? []).map((r) => parseInt(r.replace('.', ''), 36)),
      })),
    }, rules);
    return {
      answer,
      current: Math.min(Number(current) || 0, answer.patterns.length),
      cursor: Math.min(Math.max(Number(cursor) || 1, 1), rules.length),
    };
  });
}
