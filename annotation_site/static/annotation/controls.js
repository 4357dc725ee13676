// Keys, buttons and fields: each only names a command; the page says what the command does.

import * as dialogs from './dialogs.js';
import {desk} from './desk.js';
import {commandFor, isComposing} from './keyboard.js';
import {$, focusCursor, showComment} from './view.js';

const TYPING = 'input:not([type="radio"], [type="checkbox"]), textarea, select';
let byPointer = false;
let sitting = 0; // one stay in a text field is one step of undo

const numberAt = (node) => Number(node.closest('[data-number]')?.dataset.number) || undefined;

function placeOf(node) {
  if (node.closest('.row')) return 'list';
  if (node.closest('input')) return 'choice';
  return node.closest('button, a, summary') ? 'control' : 'page';
}

/** Commands by name; `leaveTo(url)` is asked before a link leads away, and may return false. */
export function listen(commands, leaveTo = () => true) {
  const choose = (number) => {
    if (number && number !== desk.state.current) commands.choose({number});
  };

  addEventListener('keydown', (event) => {
    byPointer = false;
    if (event.defaultPrevented || dialogs.isOpen()) return;
    if (event.key === 'Escape' && document.querySelector(':popover-open')) return; // closes it
    if (event.target.closest(TYPING)) {
      typed(event, commands);
      return;
    }
    const where = placeOf(event.target);
    if (where !== 'list' && !dialogs.keysEverywhere()) return;
    const command = commandFor(event, {letters: desk.letters, keys: desk.keys, where});
    if (!command) return;
    event.preventDefault();
    commands[command.name](command);
  });

  addEventListener('pointerdown', () => { byPointer = true; }, true);

  addEventListener('click', (event) => {
    const node = event.target.closest('[data-do], a[href], [data-number]');
    if (!node) return;
    if (node.matches('a')) {
      const aside = node.target || node.hash || event.ctrlKey || event.metaKey || event.shiftKey;
      if (!aside && !leaveTo(node.href)) event.preventDefault();
      return;
    }
    if (node.matches('input') && !desk.writable()) event.preventDefault();
    const number = numberAt(node);
    const command = node.dataset.do;
    if (command !== 'remove') choose(number);
    if (!node.matches('button')) return;
    commands[command]({number});
    // After a click the keyboard belongs to the list again, so that Enter submits.
    const {activeElement: focused} = document;
    if (focused === document.body || (byPointer && focused === node)) focusCursor();
  });

  addEventListener('change', ({target}) => {
    if (!target.dataset.do) return;
    commands[target.dataset.do]({number: numberAt(target), category: target.value});
    if (byPointer) focusCursor();
  });

  addEventListener('beforeinput', (event) => {
    if (!event.target.closest('dialog') && !desk.writable()) event.preventDefault();
  });

  addEventListener('input', ({target}) => {
    const merge = `text-${sitting}`;
    if (target.matches('.describe')) {
      desk.perform({type: 'describe', number: numberAt(target), description: target.value, merge});
    } else if (target.id === 'comment') {
      desk.perform({type: 'comment', comment: target.value, merge});
    }
  });

  addEventListener('focusin', ({target}) => {
    if (!target.matches(TYPING)) return;
    sitting += 1;
    choose(numberAt(target));
  });
  $('comment').addEventListener('blur', () => showComment(desk.state.annotation.comment !== ''));
}

/** In a text field only the keys that end typing do something. */
function typed(event, commands) {
  const submits = event.key === 'Enter' && (event.ctrlKey || event.metaKey);
  const ends = event.key === 'Escape' || (event.key === 'Enter' && event.target.matches('.describe'));
  if (isComposing(event) || !(submits || ends)) return;
  event.preventDefault();
  focusCursor();
  if (submits) commands.submit();
}
