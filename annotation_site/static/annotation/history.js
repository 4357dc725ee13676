// Undo and redo over everything, also after a reload: the steps travel with the draft.
//
// State {annotation, current, cursor, past, future, merge}: `current` is the number of the pattern
// that clicks go to (0: none yet), `cursor` a rank, `past` and `future` hold steps
// {annotation, current, cursor}. Actions with the same `merge` (one drag, one stay in a text field)
// make one step.

import {annotationOf, normalise, reduce} from './annotation.js';

const MOST_STEPS = 100;
const MOST_CHARACTERS = 30_000; // a draft is sent with every change and has a limit on the server

const step = ({annotation, current, cursor}) => ({annotation, current, cursor});

/** `ui` is what `toContent` made, or anything else that a server may hold. */
export function start(annotation, ui, rules) {
  const clamp = (n, low, high) => Math.min(Math.max(Number.isInteger(n) ? n : low, low), high);
  const read = (raw, steps) => {
    const {length} = raw.patterns;
    return {
      annotation: raw,
      current: clamp(steps?.current, Math.min(1, length), length),
      cursor: clamp(steps?.cursor, 1, rules.length),
    };
  };
  const readAll = (steps) => (Array.isArray(steps) ? steps : [])
    .map((s) => read(normalise(annotationOf(s), rules), s));
  return {...read(annotation, ui), past: readAll(ui?.past), future: readAll(ui?.future), merge: null};
}

/** Apply an action; the same state comes back when it changes nothing. */
export function act(state, action, rules) {
  const annotation = reduce(state.annotation, action, rules);
  if (annotation === state.annotation) return state;
  const merged = action.merge && action.merge === state.merge;
  return {
    ...state, annotation,
    past: merged ? state.past : [...state.past.slice(1 - MOST_STEPS), step(state)],
    future: [],
    merge: action.merge ?? null,
    current: currentAfter(state.current, action, annotation.patterns.length),
  };
}

function currentAfter(current, action, last) {
  if (action.type === 'add') return last;
  if (action.type === 'assign' && action.on !== false) return Math.min(action.number, last);
  return Math.min(Math.max(current, 1), last);
}

function travel(state, from, to) {
  if (state[from].length === 0) return state;
  return {
    ...state, ...state[from].at(-1), merge: null,
    [from]: state[from].slice(0, -1), [to]: [...state[to], step(state)],
  };
}
export const undo = (state) => travel(state, 'past', 'future');
export const redo = (state) => travel(state, 'future', 'past');

/** What is saved; the oldest steps are dropped when it gets too long. */
export function toContent({annotation, current, cursor, past, future}) {
  // In ASCII, as the server counts.
  const size = (value) => JSON.stringify(value).replace(/[^\x20-\x7e]/g, '\\u0000').length;
  const kept = (steps, room) => {
    let n = 0;
    for (let used = 0; n < steps.length; n += 1) {
      used += size(steps.at(-1 - n));
      if (used > room) break;
    }
    return steps.slice(steps.length - n);
  };
  const undone = kept(future, MOST_CHARACTERS / 2);
  return {annotation, ui: {current, cursor, past: kept(past, MOST_CHARACTERS - size(undone)), future: undone}};
}
