// The questions that interrupt. Each returns a promise of the choice; Esc is always "no choice".

import {element} from './view.js';

const SHORTCUTS_KEY = 'ffn-concepts:shortcuts';

export function createDialogs(root) {
  const $ = (id) => root.getElementById(id);
  const help = $('help-dialog');
  const small = $('small-dialog');
  const skip = $('skip-dialog');
  const conflict = $('conflict-dialog');
  const shortcuts = $('shortcuts');

  /** Opens a dialog; its form's buttons close it with their value. */
  function ask(dialog) {
    if (dialog.open) return new Promise(() => {});
    dialog.returnValue = '';
    dialog.showModal();
    return new Promise((done) => {
      dialog.addEventListener('close', () => done(dialog.returnValue), {once: true});
    });
  }

  let on = true;
  try { on = localStorage.getItem(SHORTCUTS_KEY) !== 'off'; } catch { /* then they are on */ }
  shortcuts.checked = on;
  shortcuts.addEventListener('change', () => {
    on = shortcuts.checked;
    try { localStorage.setItem(SHORTCUTS_KEY, on ? 'on' : 'off'); } catch { /* for this page only */ }
  });

  // "Go back" is no submit button: Enter in a form presses its first one.
  root.addEventListener('click', (event) => {
    if (event.target.closest('[data-close]')) event.target.closest('dialog').close('');
  });

  return {
    isOpen: () => root.querySelector('dialog[open]') !== null,
    shortcutsOn: () => on,
    help: () => ask(help),

    categoryKeys(keys) {
      $('category-keys').replaceChildren(...[...keys].flatMap(([key, category]) => [
        element('dt', {}, element('kbd', {}, key)), element('dd', {}, element('bdi', {}, category))]));
    },

    async small(text) {
      $('small-text').textContent = text;
      return (await ask(small)) === 'yes';
    },

    /** The reason in words, or null. */
    async skip() {
      const form = skip.querySelector('form');
      form.reset();
      if ((await ask(skip)) !== 'skip') return null;
      const more = form.elements.more.value.trim();
      return [form.elements.reason.value, more].filter(Boolean).join(': ').slice(0, 500);
    },

    /** 'mine', 'theirs' or null. */
    async conflict(rows) {
      $('conflict-rows').replaceChildren(...rows.map((cells) => element('tr', {},
        element('th', {scope: 'row'}, cells[0]),
        ...cells.slice(1).map((cell) => element('td', {}, cell)))));
      return (await ask(conflict)) || null;
    },
  };
}
