// What the keys and buttons do to the answer. `desk` is what the page works on: {page, rules,
// state, anchor, letters, writable(), perform(action), become(state), draw()}.

import {isBlank, patternsOf, stopwordsOf} from './answer.js';
import {act, redo, undo} from './history.js';
import {watchPointer} from './pointer.js';
import {$} from './view.js';
import * as words from './words.js';

const ranksBetween = (a, b) =>
  Array.from({length: Math.abs(a - b) + 1}, (_, i) => Math.min(a, b) + i);

export function createCommands(desk, view) {
  const patterns = () => desk.state.answer.patterns;
  const pattern = (number = desk.state.current) => patterns()[number - 1];
  const selected = () => ranksBetween(desk.anchor ?? desk.state.cursor, desk.state.cursor);
  /** The pattern that clicks go to; there is always a first one to begin. */
  const target = () => desk.state.current || 1;

  // Tokens -----------------------------------------------------------------------------------

  function moveTo(rank, {extend = false} = {}) {
    desk.anchor = extend ? desk.anchor ?? desk.state.cursor : null;
    desk.state = {...desk.state, cursor: Math.min(Math.max(rank, 1), desk.rules.length)};
    desk.draw();
    view.focusCursor();
  }

  /** From a selection, on from the end that lies in the direction. */
  function move(by) {
    const ranks = selected();
    moveTo((by > 0 ? ranks.at(-1) : ranks[0]) + by);
  }

  function say(ranks, number) {
    const {display} = desk.page.list.tokens[ranks[0] - 1];
    const what = ranks.length === 1 ? `${ranks[0]} ${words.quoted(display)}` : words.tokens(ranks.length);
    const inside = ranks.every((r) => patternsOf(desk.state.answer, r).includes(number));
    view.announce(inside ? words.assigned(what, number, pattern(number).ranks.length) : words.cleared(what));
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
      moveTo(desk.state.cursor);
      return;
    }
    // A digit says "this is 1": saying it twice changes nothing, and the next token is next.
    if (!desk.perform({type: 'assign', ranks, number})) choose({number});
    say(ranks, number);
    moveTo(ranks.at(-1) + 1);
  }

  function clear({step = false}) {
    const ranks = selected();
    if (desk.perform({type: 'clear', ranks})) say(ranks, 0);
    moveTo(step ? ranks.at(-1) + 1 : desk.state.cursor);
  }

  function setLetters(on) {
    desk.letters = on;
    desk.anchor = null;
    desk.draw();
    view.focusCursor();
    if (on) view.announce(words.LETTERS_ON);
  }

  let drag = null;
  watchPointer($('tokens'), {
    toggle(rank) {
      moveTo(rank);
      toggle([rank]);
    },
    range(to) {
      const ranks = ranksBetween(desk.anchor ?? desk.state.cursor, to);
      moveTo(to, {extend: true});
      if (desk.perform({type: 'assign', ranks, number: target()})) say(ranks, target());
    },
    dragStart(rank) {
      const number = target();
      // The first token decides: from a free one a drag adds, from a member it takes out.
      const on = !pattern(number)?.ranks.includes(rank);
      drag = desk.writable() && {base: desk.state, number, on, merge: `drag-${performance.now()}`};
    },
    drag(from, to) {
      if (!drag || !desk.writable()) return;
      const {base, number, on, merge} = drag;
      // From the answer at the drag's start every time, so that dragging back gives back.
      const next = act(base, {type: 'assign', ranks: ranksBetween(from, to), number, on}, desk.rules);
      desk.perform({type: 'replace', answer: next.answer, merge});
      desk.state = {...desk.state, current: next.current};
      moveTo(to);
    },
    dragEnd() {
      if (drag) view.announce(words.patternNow(pattern(drag.number)));
      drag = null;
    },
  });

  // Patterns ---------------------------------------------------------------------------------

  function choose({number}) {
    if (number > patterns().length) {
      // A pattern that is still blank is the new pattern; a second would only be in the way.
      const free = patterns().find(isBlank);
      if (free) desk.become({...desk.state, current: free.number});
      else desk.perform({type: 'add'});
    } else if (number > 0) {
      desk.become({...desk.state, current: number});
    }
    if (pattern()) view.announce(words.patternNow(pattern()));
  }

  function setCategory({category, number}) {
    if (!pattern(number)) choose({number: 1});
    const chosen = pattern(number);
    if (!chosen) return;
    desk.perform({type: 'category', number: chosen.number, category});
    view.announce(words.categoryNow(chosen.number, category));
  }

  function setStopwords({number}) {
    const chosen = pattern(number);
    if (!chosen) return;
    const stopwords = !stopwordsOf(chosen, desk.rules);
    desk.perform({type: 'stopwords', number: chosen.number, stopwords});
    view.announce(words.stopwordsNow(chosen.number, stopwords));
  }

  function describe() {
    if (!pattern()) choose({number: 1});
    if (!pattern() || !desk.writable()) return;
    const input = view.card(desk.state.current).querySelector('.describe');
    input.focus();
    input.setSelectionRange(input.value.length, input.value.length);
  }

  function toggleNone() {
    const n = patterns().length;
    const on = !desk.state.answer.no_pattern;
    if (!desk.perform({type: 'none', on}) || !on) return;
    view.announce(words.NO_PATTERN_HERE);
    if (n) view.message(words.removedForNone(n), 'info', [[words.UNDO, () => travel(undo)]]);
  }

  function travel(direction) {
    if (!desk.writable()) return;
    desk.anchor = null;
    view.announce(words.travelled(desk.become(direction(desk.state)), direction === redo));
  }

  return {
    next: () => move(1),
    previous: () => move(-1),
    first: () => moveTo(1),
    last: () => moveTo(desk.rules.length),
    'extend-next': () => moveTo(desk.state.cursor + 1, {extend: true}),
    'extend-previous': () => moveTo(desk.state.cursor - 1, {extend: true}),
    'extend-first': () => moveTo(1, {extend: true}),
    'extend-last': () => moveTo(desk.rules.length, {extend: true}),
    assign,
    toggle() {
      toggle(selected());
      moveTo(desk.state.cursor);
    },
    pick({rank}) {
      if (rank > desk.rules.length) return;
      moveTo(rank);
      toggle([rank]);
    },
    clear,
    'clear-step': () => clear({step: true}),
    letters: () => setLetters(true),
    leave: () => setLetters(false),
    choose,
    new: () => choose({number: Infinity}),
    'next-pattern': () => choose({number: Math.min(desk.state.current + 1, patterns().length)}),
    'previous-pattern': () => choose({number: Math.max(desk.state.current - 1, 1)}),
    describe,
    category: setCategory,
    stopwords: setStopwords,
    remove: ({number = desk.state.current}) => desk.perform({type: 'remove', number}),
    none: toggleNone,
    undo: () => travel(undo),
    redo: () => travel(redo),
    comment() {
      view.showComment(true);
      $('comment').focus();
    },
    search: () => $('search').click(),
    wikipedia: () => $('wikipedia').click(),
  };
}
