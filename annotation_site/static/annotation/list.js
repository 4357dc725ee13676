// The annotation page: joins annotation, view, commands and server. No key waits for a request.

import {finished} from './annotation.js';
import {createActivity} from './activity.js';
import {COMMANDS, readyToSubmit} from './commands.js';
import {listen} from './controls.js';
import {desk} from './desk.js';
import {isOpen, reasonToSkip} from './dialogs.js';
import {toContent} from './history.js';
import {local} from './storage.js';
import {COPIES, PASSING, createSync} from './sync.js';
import * as view from './view.js';
import * as words from './words.js';

const {person, loginUrl} = document.body.dataset;
const activity = createActivity();

let sync = null;
let openedAt = 0;
let replaced = false; // this list took another's place without loading a page
let touched = false;

function open(page) {
  sync?.close();
  touched = false;
  openedAt = performance.now();
  activity.reset(page.active_seconds);
  desk.open(page);
  sync = createSync({
    page, person, rules: desk.rules,
    seconds: activity.seconds,
    content: () => toContent(desk.state),
    on: {
      state: showSaveState,
      conflict: askConflict,
      overtaken: (ask) => view.message(words.saveState('overtaken'), 'warning', [[words.COMPARE, ask]]),
      refused: (text) => view.message(words.refused(text), 'error'),
    },
  });
  view.saveState('saved');
  const kept = page.study.open && sync.restore();
  desk.lay(kept ? kept.content : page.draft.content);
  if (kept) {
    view.message(words.RESTORED);
    sync.changed();
    if (kept.conflict) askConflict(kept.conflict);
  }
}

// Saving and submitting

desk.changed = () => {
  touched = true;
  if (sync.state() !== 'logged-out') view.message(null);
  sync.changed();
};

function showSaveState(name, keepsCopies) {
  const before = view.$('save-state').dataset.state;
  view.saveState(name, keepsCopies);
  if (name === 'logged-out') {
    view.message(words.LOGGED_OUT, 'warning', [
      [words.LOG_IN, loginUrl], [words.TRY_AGAIN, () => sync.retryNow()]]);
  } else if (before === 'logged-out') {
    view.message(null);
  }
}

/** Seldom needed, so fetched only then. */
async function askConflict(conflict) {
  if (isOpen()) return;
  const {chooseVersion} = await import('./conflict.js');
  const choice = await chooseVersion(conflict);
  if (choice) sync.resolve({keepMine: choice === 'mine'});
  else view.message(words.saveState('conflict', true), 'warning', [[words.COMPARE, () => askConflict(conflict)]]);
}

function submit() {
  if (!desk.writable()) return;
  // A second Enter meant for the list before must not submit this one unseen.
  if (replaced && !touched && performance.now() - openedAt < 600) return;
  if (!readyToSubmit(submit)) return;
  leaveBy((onWait) => sync.submit(finished(desk.state.annotation), onWait));
}

async function skip() {
  if (!desk.writable() || desk.page.list.state === 'submitted') return;
  const reason = await reasonToSkip();
  if (reason) leaveBy(() => sync.skip(reason));
}

/** Send, and show the next list in this one's place. */
async function leaveBy(request) {
  setBusy(true);
  view.message(null);
  const {status, body, message} = await request(() => {
    // While it waits, a change stops it.
    setBusy(false);
    if (sync.state() === 'logged-out') return;
    view.message(words.SUBMIT_WAITS, 'warning');
  });
  setBusy(false);
  if (status === 'ok') goTo(body);
  else if (status === 'refused') view.message(message, 'error');
  else if (status === 'cancelled') view.message(words.SUBMIT_STOPPED);
  else if (status === 'busy') view.message(message, 'warning');
  else if (PASSING.includes(status)) view.message(words.NOT_SKIPPED, 'warning');
}

function goTo({next, next_url: url}) {
  if (!next) {
    location.assign(url);
    return;
  }
  history.pushState(null, '', url);
  replaced = true;
  open(next);
  view.focusCursor();
  view.announce(words.listNow(next.list.position, next.list.total));
}

function setBusy(on) {
  desk.busy = on;
  view.busy(on);
}

/** Leave for another page of the site once what is here is saved. */
async function visit(url) {
  await sync.save();
  location.assign(url);
}

const back = () => { if (desk.page.urls.previous) visit(desk.page.urls.previous); };

listen({...COMMANDS, submit, skip, back}, (url) => {
  // Links out of the page take what is unsaved along first.
  const unsaved = sync.unsaved();
  if (unsaved) visit(url);
  return !unsaved;
});

// The page's life

for (const type of ['online', 'focus', 'visibilitychange']) {
  addEventListener(type, () => { if (!document.hidden) sync.retryNow(); });
}
addEventListener('pagehide', () => sync.leave());
addEventListener('beforeunload', (event) => { if (sync.unsaved()) event.preventDefault(); });
// Back and forward load the list that the address names; a page kept by the browser may be old.
addEventListener('popstate', () => { if (location.pathname !== desk.page.urls.page) location.reload(); });
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

open(JSON.parse(view.$('page-data').textContent));
if (document.activeElement === document.body) view.focusCursor();
document.documentElement.dataset.ready = 'yes';

// What earlier visits to other lists could not save is sent now.
const kept = local.keys(`${COPIES}${person}:`).filter((key) => !key.endsWith(desk.page.list.id));
if (kept.length) import('./leftovers.js').then(({sendLeftovers}) => sendLeftovers(kept, person));
