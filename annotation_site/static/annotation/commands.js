// What the keys and buttons do to the answer.

import {canonical, isBlank, patternsOf, problem, stopwordsOf, tooSmall} from './annotation.js';
import {desk} from './desk.js';
import {help, toggleGuidelines} from './dialogs.js';
import {act, redo, undo} from './history.js';
import {watchPointer} from './pointer.js';
import {
  $, announce, card, closeSheet, focusCursor, isRewritten, message, openSheet, showComment, wantCategory,
} from './view.js';
import * as words from './words.js';

const patterns = () => desk.state.annotation.patterns;
const pattern = (number = desk.state.current) => patterns()[number - 1];
/** The pattern that clicks go to; there is always a first one to begin. */
const target = () => desk.state.current || 1;

// Tokens

const ranksBetween = (a, b) =>
  Array.from({length: Math.abs(a - b) + 1}, (_, i) => Math.min(a, b) + i);
const selected = () => ranksBetween(desk.anchor ?? desk.state.cursor, desk.state.cursor);

function moveTo(rank, extend = false) {
  const {state} = desk;
  desk.anchor = extend ? desk.anchor ?? state.cursor : null;
  desk.state = {...state, cursor: Math.min(Math.max(rank, 1), desk.rules.length)};
  desk.draw();
  focusCursor();
}
const stay = () => moveTo(desk.state.cursor);
const extendTo = (rank) => moveTo(rank, true);

function say(ranks, number) {
  const {display} = desk.page.list.tokens[ranks[0] - 1];
  const what = ranks.length === 1 ? `${ranks[0]} ${words.quoted(display)}` : words.counted(ranks.length);
  const inside = ranks.every((r) => patternsOf(desk.state.annotation, r).includes(number));
  announce(inside ? words.assigned(what, number, pattern(number).ranks.length) : words.cleared(what));
}

function toggle(ranks, number = target()) {
  const on = !ranks.every((r) => pattern(number)?.ranks.includes(r));
  if (desk.perform({type: 'assign', ranks, number, on})) say(ranks, number);
}

function assign({number: wanted}) {
  const ranks = selected();
  const number = Math.min(wanted, patterns().length + 1);
  if (desk.rules.several_patterns_per_token) {
    // A token may want another pattern as well: the cursor stays, the same key takes it out.
    toggle(ranks, number);
    stay();
    return;
  }
  // A digit says "this is 1": saying it twice changes nothing, and the next token is next.
  if (!desk.perform({type: 'assign', ranks, number})) choose({number});
  say(ranks, number);
  moveTo(ranks.at(-1) + 1);
}

function clear(ranks = selected()) {
  if (desk.perform({type: 'clear', ranks})) say(ranks, 0);
}

function setLetters(on) {
  desk.letters = on;
  stay();
  if (on) announce($('letters-note').textContent);
}

let drag = null;
watchPointer($('tokens'), {
  toggle(rank) {
    moveTo(rank);
    toggle([rank]);
  },
  range(to) {
    const ranks = ranksBetween(desk.anchor ?? desk.state.cursor, to);
    extendTo(to);
    if (desk.perform({type: 'assign', ranks, number: target()})) say(ranks, target());
  },
  dragStart(rank) {
    const number = target();
    // The first token decides: from a free one a drag adds, from a member it takes out.
    const on = !pattern(number)?.ranks.includes(rank);
    drag = {base: desk.state, number, on, merge: `drag-${performance.now()}`};
  },
  drag(from, to) {
    if (!drag || !desk.writable()) return;
    const {base, number, on, merge} = drag;
    // From the drag's start every time: dragging back gives back.
    const next = act(base, {type: 'assign', ranks: ranksBetween(from, to), number, on}, desk.rules);
    desk.perform({type: 'replace', annotation: next.annotation, merge});
    desk.state = {...desk.state, current: next.current};
    moveTo(to);
  },
  dragEnd() {
    if (pattern()) announce(words.patternNow(pattern()));
    drag = null;
  },
});

// Patterns

function choose({number}) {
  if (number > patterns().length) {
    // A blank pattern is the new pattern.
    const free = patterns().find(isBlank);
    if (free) desk.become({...desk.state, current: free.number});
    else desk.perform({type: 'add'});
  } else if (number > 0) {
    desk.become({...desk.state, current: number});
  }
  if (pattern()) announce(words.patternNow(pattern()));
}

/** The pattern, beginning the first where there is none. */
function patternOrFirst(number) {
  if (!pattern(number)) choose({number: 1});
  return pattern(number);
}

function setCategory({category, number}) {
  const chosen = patternOrFirst(number);
  if (!chosen) return;
  desk.perform({type: 'category', number: chosen.number, category});
  announce(words.categoryNow(chosen.number, category));
}

function setStopwords({number}) {
  const chosen = pattern(number);
  if (!chosen) return;
  const stopwords = !stopwordsOf(chosen, desk.rules);
  desk.perform({type: 'stopwords', number: chosen.number, stopwords});
  announce(words.stopwordsNow(chosen.number, stopwords));
}

function describe() {
  if (!patternOrFirst() || !desk.writable()) return;
  const input = card(desk.state.current).querySelector('.describe');
  input.focus();
  input.setSelectionRange(input.value.length, input.value.length);
}

function toggleNone() {
  const n = patterns().length;
  const on = !desk.state.annotation.no_pattern;
  if (!desk.perform({type: 'none', on}) || !on) return;
  announce(words.noPatternHere());
  if (n) message(words.removedForNone(n), 'info', [[words.UNDO, () => travel(undo)]]);
}

function travel(direction) {
  if (!desk.writable()) return;
  desk.anchor = null;
  announce(words.travelled(desk.become(direction(desk.state)), direction === redo));
}

let warned = ''; // the list and answer whose small patterns the person has been told about

/** Whether the answer may go now; says what is missing, and warns once of small patterns. */
export function readyToSubmit(submit) {
  const {annotation} = desk.state;
  if (isRewritten()) {
    message($('rewritten').textContent, 'error');
    return false;
  }
  const trouble = problem(annotation);
  if (trouble) {
    if (trouble.number) choose(trouble);
    if (trouble.kind === 'no-category') wantCategory(trouble.number);
    message(words.problem(trouble, desk.keys), 'error');
    return false;
  }
  const few = tooSmall(annotation, desk.rules);
  const asked = desk.page.list.id + canonical(annotation);
  if (few.length === 0 || warned === asked) return true;
  warned = asked;
  message(words.tooSmall(few, desk.rules.min_tokens), 'warning', [[words.SUBMIT_ANYWAY, submit]]);
  return false;
}

export const COMMANDS = {
  // From a selection, on from the end that lies in the direction.
  next: () => moveTo(selected().at(-1) + 1),
  previous: () => moveTo(selected()[0] - 1),
  first: () => moveTo(1),
  last: () => moveTo(desk.rules.length),
  'extend-next': () => extendTo(desk.state.cursor + 1),
  'extend-previous': () => extendTo(desk.state.cursor - 1),
  'extend-first': () => extendTo(1),
  'extend-last': () => extendTo(desk.rules.length),
  assign,
  toggle() {
    toggle(selected());
    stay();
  },
  pick({rank}) {
    if (rank > desk.rules.length) return;
    moveTo(rank);
    toggle([rank]);
  },
  clear() {
    clear();
    stay();
  },
  'clear-step'() {
    const after = selected().at(-1) + 1;
    clear();
    moveTo(after);
  },
  letters: () => setLetters(true),
  leave: () => setLetters(false),
  choose,
  new: () => choose({number: Infinity}),
  'next-pattern': () => choose({number: Math.min(desk.state.current + 1, patterns().length)}),
  'previous-pattern': () => choose({number: Math.max(desk.state.current - 1, 1)}),
  describe,
  category: setCategory,
  stopwords: setStopwords,
  remove({number = desk.state.current}) {
    closeSheet();
    desk.perform({type: 'remove', number});
  },
  sheet: ({number}) => openSheet(number),
  done: closeSheet,
  none: toggleNone,
  undo: () => travel(undo),
  redo: () => travel(redo),
  comment() {
    showComment(true);
    $('comment').focus();
  },
  guidelines: toggleGuidelines,
  help,
  search: () => $('search').click(),
  encyclopedia: () => $('encyclopedia')?.click(),
};
