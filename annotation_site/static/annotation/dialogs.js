// The questions that interrupt, and the panel of guidelines. A question's promise gives the
// choice; Esc is always "no choice".

import {$, element} from './view.js';

const keysAt = 'ffn-concepts:keys';

/** Settings of this computer; where nothing can be stored they last as long as the page. */
const settings = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* see above */ } },
};

export function createDialogs(view, person) {
  function ask(dialog) {
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

  $('keys-everywhere').checked = settings.get(keysAt) !== 'list';
  $('keys-everywhere').addEventListener('change', () => {
    settings.set(keysAt, $('keys-everywhere').checked ? 'page' : 'list');
  });

  const guidelinesAt = `ffn-concepts:guidelines:${person}`;

  function showGuidelines(on) {
    $('guidelines').hidden = !on;
    document.body.classList.toggle('with-guidelines', on);
    $('guidelines-open').setAttribute('aria-expanded', on);
  }
  if ($('guidelines')) showGuidelines(settings.get(guidelinesAt) === 'open');

  return {
    isOpen: () => document.querySelector('dialog[open]') !== null,
    keysEverywhere: () => $('keys-everywhere').checked,
    help: () => ask($('help-dialog')),

    guidelines() {
      if (!$('guidelines')) return;
      const on = $('guidelines').hidden;
      showGuidelines(on);
      settings.set(guidelinesAt, on ? 'open' : 'closed');
      if (on) $('guidelines').focus();
      else view.focusCursor();
    },

    categoryKeys(keys) {
      $('category-keys').replaceChildren(...[...keys].flatMap(([key, category]) => [
        element('dt', {}, element('kbd', {}, key)), element('dd', {}, element('bdi', {}, category))]));
    },

    async small(text) {
      $('small-text').textContent = text;
      return await ask($('small-dialog')) === 'yes';
    },

    /** The reason in words, or null. */
    async skip() {
      const form = $('skip-dialog').firstElementChild;
      form.reset();
      if (await ask($('skip-dialog')) !== 'skip') return null;
      return [form.elements.reason.value, form.elements.more.value.trim()].filter(Boolean).join(': ');
    },

    /** 'mine', 'theirs' or ''. */
    async conflict(mine, theirs, tokens) {
      if ($('conflict-dialog').open) return '';
      // Seldom needed, so fetched only then; the server has just been reached.
      const {differences} = await import('./differences.js');
      const cell = (text) => element('td', {}, text);
      $('conflict-rows').replaceChildren(...differences(mine, theirs, tokens).map(([what, here, there]) =>
        element('tr', {}, element('th', {scope: 'row'}, what), cell(here), cell(there))));
      return ask($('conflict-dialog'));
    },
  };
}
