// The questions that interrupt, and the panel of guidelines.

import {desk} from './desk.js';
import {element, exact} from './elements.js';
import {local} from './storage.js';
import {$, focusCursor, message} from './view.js';
import {NO_DIALOG} from './words.js';

const {person, dialogsUrl} = document.body.dataset;
const KEYS = 'ffn-concepts:keys';
const panel = $('guidelines')?.dataset.panel ?? '';
const GUIDELINES = `ffn-concepts:guidelines:${person}${panel}`;

// Settings of this computer; where nothing can be stored they last as long as the page.
let everywhere = local.get(KEYS) !== 'list';
let loading = false;

export const keysEverywhere = () => everywhere;
export const isOpen = () => loading || document.querySelector('dialog[open]') !== null;

/** The dialogs are seldom wanted, so they come when the first one is. False: they did not. */
async function load() {
  if ($('dialogs')) return true;
  loading = true; // keys pressed meanwhile are meant for the dialog
  try {
    const reply = await fetch(dialogsUrl, {redirect: 'error', signal: AbortSignal.timeout(5_000)});
    if (!reply.ok) throw new Error(reply.status);
    document.body.insertAdjacentHTML('beforeend', await reply.text());
    const styles = [...$('dialogs').querySelectorAll('link')];
    await Promise.all(styles.map((link) => new Promise((done) => { link.onload = link.onerror = done; })));
  } catch {
    $('dialogs')?.remove();
    message(NO_DIALOG, 'warning');
    return false;
  } finally {
    loading = false;
  }
  // "Go back" is no submit button: Enter in a form presses its first one.
  $('dialogs').addEventListener('click', ({target}) => {
    if (target.closest('[data-close]')) target.closest('dialog').close('');
  });
  $('keys-everywhere').checked = everywhere;
  $('keys-everywhere').addEventListener('change', ({target}) => {
    everywhere = target.checked;
    local.set(KEYS, everywhere ? 'page' : 'list');
  });
  return true;
}

/** A promise of the pressed button's value; '' for Esc and for going back. `fill` comes first. */
export async function ask(id, fill = () => {}) {
  if (isOpen() || !await load()) return '';
  const dialog = $(id);
  fill(dialog);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener('close', () => done(dialog.returnValue), {once: true});
  });
}

export const help = () => ask('help-dialog', () => {
  $('category-keys').replaceChildren(...[...desk.keys].flatMap(([key, category]) => [
    exact('dt', {}, key), element('dd', {}, exact('bdi', {}, category))]));
});

/** The reason in words, or ''. */
export async function reasonToSkip() {
  let form;
  const choice = await ask('skip-dialog', (dialog) => {
    form = dialog.firstElementChild;
    form.reset();
  });
  if (!choice) return '';
  const {reason, more} = form.elements;
  return [reason.value, more.value.trim()].filter(Boolean).join(': ');
}

function showGuidelines(on) {
  $('guidelines').hidden = !on;
  document.body.classList.toggle('with-guidelines', on);
  $('guidelines-open').ariaExpanded = on;
}
if ($('guidelines')) showGuidelines((local.get(GUIDELINES) ?? (panel && 'open')) === 'open');

/** Open or closed, as it was left. */
export function toggleGuidelines() {
  if (!$('guidelines')) return;
  const on = $('guidelines').hidden;
  showGuidelines(on);
  local.set(GUIDELINES, on ? 'open' : 'closed');
  if (on) $('guidelines').focus();
  else focusCursor();
}
