// The questions that interrupt, and the panel of guidelines.

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
let dialogs = null; // questions.js, once it is here

export const keysEverywhere = () => everywhere;
export const isOpen = () => loading || document.querySelector('dialog[open]') !== null;

/**
 * A promise of the pressed button's value; '' for Esc and for going back. `fill` comes first. The
 * dialogs are fetched when first wanted: the script last, as browsers may not fetch one twice.
 */
export async function ask(id, fill) {
  if (isOpen()) return '';
  loading = true; // keys pressed meanwhile are meant for the dialog
  try {
    dialogs ??= await load();
  } catch {
    $('dialogs')?.remove();
    message(NO_DIALOG, 'warning');
    return '';
  } finally {
    loading = false;
  }
  return dialogs.show(id, fill);
}

async function load() {
  const reply = await fetch(dialogsUrl, {redirect: 'error', signal: AbortSignal.timeout(5_000)});
  if (!reply.ok) throw new Error(reply.status);
  const [page, scripts] = [await reply.text(), await import('./questions.js')];
  await scripts.build(page, everywhere, (on) => {
    everywhere = on;
    local.set(KEYS, on ? 'page' : 'list');
  });
  return scripts;
}

export const help = () => ask('help-dialog');
/** The reason in words, or ''. */
export const reasonToSkip = () => ask('skip-dialog');

function showGuidelines(on) {
  $('guidelines').hidden = !on;
  if (on) $('prose').disabled = false;
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
