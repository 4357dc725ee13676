// The annotation page with people's answers beside it: a button or a key takes one over, and from
// there on it is edited, undone, saved and submitted like any other answer.

import './list.js';
import {MOST_PATTERNS} from './annotation.js';
import {desk} from './desk.js';
import {isOpen, keysEverywhere} from './dialogs.js';
import {element} from './elements.js';
import {character, isComposing, isModified} from './keyboard.js';
import {marksByRank, takeAll, takePattern} from './taking.js';
import {$, announce, focusCursor} from './view.js';

const answers = JSON.parse($('annotations-data').textContent);
const buttons = [...document.querySelectorAll('[data-take]')];
const {left} = $('guidelines').dataset;
const letters = Object.keys(answers);

// What is left of the queue, in the place of "List 3 of 20": the order is not the person's own.
$('position').textContent = left;
document.title = `${left} · ${desk.page.study.title}`;

// Who marked which token: a column for each answer, in every row. Equal marks are one match.
const marked = marksByRank(JSON.parse($('marks-data').textContent));
$('tokens').style.setProperty('--people', letters.length);
document.querySelector('.letters-head')?.style.setProperty('--people', letters.length);
for (const row of $('tokens').children) {
  const marks = marked.get(Number(row.dataset.rank)) ?? {};
  row.querySelector('.marks').after(...letters.map((letter) => element(
    'span', {class: 'by'}, ...(marks[letter] ?? []).map(({number, counts}) => element(
      'span', {class: counts ? 'chip' : 'chip few-mark', 'data-shape': ((number - 1) % 9) + 1}, number)))));
  // The row's own name says the person's own patterns; this comes after it.
  row.setAttribute('aria-description', letters.map((letter) => [
    letter, (marks[letter] ?? []).map(({number}) => number).join(' ') || '–'].join(' ')).join(', '));
}

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

// Before the keys of the annotation page: here a digit takes a pattern.
addEventListener('keydown', (event) => {
  const {target} = event;
  if (event.repeat || isComposing(event) || isModified(event) || desk.letters || isOpen()) return;
  if (target.closest('textarea, input:not([type="radio"], [type="checkbox"])')) return;
  if (!keysEverywhere() && !target.closest('.row')) return;
  const key = character(event);
  if (!/^[1-9A-I]$/.test(key)) return;
  const button = buttons.find(({dataset}) => dataset.key === key);
  if (!button && /\D/.test(key)) return;
  event.preventDefault();
  event.stopImmediatePropagation(); // a digit without a pattern does nothing, rather than another thing
  if (button) take(button);
}, true);
