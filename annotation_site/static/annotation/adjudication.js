// The annotation page with people's answers beside it: a button or a key takes one over, and from
// there on it is edited, undone, saved and submitted like any other answer.

import './list.js';
import {MOST_PATTERNS} from './annotation.js';
import {desk} from './desk.js';
import {isOpen, keysEverywhere} from './dialogs.js';
import {character, isComposing, isModified} from './keyboard.js';
import {takeAll, takePattern} from './taking.js';
import {$, announce, focusCursor} from './view.js';

const answers = JSON.parse($('annotations-data').textContent);
const buttons = [...document.querySelectorAll('[data-take]')];

function take({dataset: {take: letter, pattern: number, said}}) {
  const {annotation} = desk.state;
  const theirs = answers[letter];
  const next = number === undefined ? takeAll(annotation, theirs)
    : takePattern(annotation, theirs.patterns[Number(number) - 1], desk.rules);
  if (next.patterns.length > MOST_PATTERNS) return;
  desk.perform({type: 'replace', annotation: next});
  // The pattern that was taken last is the one that clicks and keys go to.
  if (number !== undefined) desk.become({...desk.state, current: desk.state.annotation.patterns.length});
  announce(said);
}

for (const button of buttons) {
  button.addEventListener('click', ({detail}) => {
    take(button);
    if (detail) focusCursor(); // after a click the keyboard belongs to the list again
  });
}

addEventListener('keydown', (event) => {
  const {target} = event;
  if (event.defaultPrevented || event.repeat || isComposing(event) || isModified(event)) return;
  if (!event.shiftKey || isOpen() || target.closest('textarea, input:not([type="radio"], [type="checkbox"])')) return;
  if (!keysEverywhere() && !target.closest('.row')) return;
  const whole = buttons.find(({dataset}) => dataset.take === character(event) && dataset.pattern === undefined);
  if (!whole) return;
  event.preventDefault();
  take(whole);
});
