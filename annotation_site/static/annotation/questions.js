// What happens in the dialogs. Fetched with the first of them; dialogs.js says how.

import {desk} from './desk.js';
import {element, exact} from './elements.js';
import {character, isComposing, isModified} from './keyboard.js';
import {$} from './view.js';

/** Puts the dialogs into the page; `setEverywhere` hears where keys are to work. */
export async function build(page, everywhere, setEverywhere) {
  document.body.insertAdjacentHTML('beforeend', page);
  const styles = [...$('dialogs').querySelectorAll('link')];
  await Promise.all(styles.map((link) => new Promise((done) => { link.onload = link.onerror = done; })));
  // "Go back" is no submit button: Enter in a form presses its first one.
  $('dialogs').addEventListener('click', ({target}) => {
    if (target.closest('[data-close]')) target.closest('dialog').close('');
  });
  listenToSkipping($('skip-dialog').firstElementChild);
  $('keys-everywhere').checked = everywhere;
  $('keys-everywhere').addEventListener('change', ({target}) => setEverywhere(target.checked));
}

/** A digit chooses a reason; without one, our own sentence says so. */
function listenToSkipping(form) {
  const {reason} = form.elements;
  form.addEventListener('keydown', (event) => {
    const choice = reason[Number(character(event)) - 1];
    if (!choice || isModified(event) || isComposing(event)) return;
    if (event.target.matches('[type="text"]')) return;
    event.preventDefault();
    choice.checked = true;
    choice.focus();
  });
  form.addEventListener('submit', (event) => {
    $('no-reason').hidden = reason.value !== '';
    if (reason.value) return;
    event.preventDefault();
    reason[0].focus();
  });
}

const FILL = {
  'help-dialog': () => $('category-keys').replaceChildren(...[...desk.keys].flatMap(([key, category]) => [
    exact('dt', {}, key), element('dd', {}, exact('bdi', {}, category))])),
  'skip-dialog': (dialog) => {
    dialog.firstElementChild.reset();
    $('skipped-goes-on').hidden = !desk.page.study.skipped_goes_on;
    $('skipped-waits').hidden = desk.page.study.skipped_goes_on;
    $('no-reason').hidden = true;
  },
};

/** The reason in words where there is one. */
function answerOf(dialog) {
  if (!dialog.returnValue || dialog.id !== 'skip-dialog') return dialog.returnValue;
  const {reason, more} = dialog.firstElementChild.elements;
  return [reason.value, more.value.trim()].filter(Boolean).join(': ');
}

/** Opens a dialog; the promise is as `ask` of dialogs.js says. */
export function show(id, fill = FILL[id]) {
  const dialog = $(id);
  fill(dialog);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener('close', () => done(answerOf(dialog)), {once: true});
  });
}
