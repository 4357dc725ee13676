// The questions that interrupt, and the panel of guidelines.

import {$, element, focusCursor} from './view.js';

const KEYS = 'ffn-concepts:keys';
const GUIDELINES = `ffn-concepts:guidelines:${document.body.dataset.person}`;

/** Settings of this computer; where nothing can be stored they last as long as the page. */
const settings = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* see above */ } },
};

/** A promise of the pressed button's value; '' for Esc and for going back. */
export function ask(dialog) {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener('close', () => done(dialog.returnValue), {once: true});
  });
}

// "Go back" is no submit button: Enter in a form presses its first one.
addEventListener('click', ({target}) => {
  if (target.closest('[data-close]')) target.closest('dialog').close('');
});

const everywhere = $('keys-everywhere');
everywhere.checked = settings.get(KEYS) !== 'list';
everywhere.addEventListener('change', () => settings.set(KEYS, everywhere.checked ? 'page' : 'list'));
export const keysEverywhere = () => everywhere.checked;

export const isOpen = () => document.querySelector('dialog[open]') !== null;
export const help = () => ask($('help-dialog'));

export function showCategoryKeys(keys) {
  $('category-keys').replaceChildren(...[...keys].flatMap(([key, category]) => [
    element('dt', {}, key), element('dd', {}, element('bdi', {}, category))]));
}

/** The reason in words, or ''. */
export async function reasonToSkip() {
  const form = $('skip-dialog').firstElementChild;
  form.reset();
  if (!await ask($('skip-dialog'))) return '';
  const {reason, more} = form.elements;
  return [reason.value, more.value.trim()].filter(Boolean).join(': ');
}

function showGuidelines(on) {
  $('guidelines').hidden = !on;
  document.body.classList.toggle('with-guidelines', on);
  $('guidelines-open').ariaExpanded = on;
}
if ($('guidelines')) showGuidelines(settings.get(GUIDELINES) === 'open');

/** Open or closed, as it was left. */
export function toggleGuidelines() {
  if (!$('guidelines')) return;
  const on = $('guidelines').hidden;
  showGuidelines(on);
  settings.set(GUIDELINES, on ? 'open' : 'closed');
  if (on) $('guidelines').focus();
  else focusCursor();
}
