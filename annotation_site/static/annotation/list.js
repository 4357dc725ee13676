// The annotation page: joins the answer, the view, the commands and the server. Nothing between a
// key press and its picture waits for a request.

import {canonical, finished, normalise, problem, tooSmall} from './answer.js';
import {createActivity} from './activity.js';
import {COMMANDS} from './commands.js';
import {desk} from './desk.js';
import * as dialogs from './dialogs.js';
import {start, toContent} from './history.js';
import {categoryKeys, commandFor} from './keyboard.js';
import {COPIES, PASSING, createSync} from './sync.js';
import * as view from './view.js';
import * as words from './words.js';

const {person, loginUrl} = document.body.dataset;
const activity = createActivity();

let sync = null;
let keys = null;
let openedAt = 0;
let replaced = false; // this list took another's place without loading a page
let touched = false;
let warned = ''; // the list and answer whose small patterns the person has been told about

const DO = {
  ...COMMANDS, submit, skip,
  guidelines: dialogs.toggleGuidelines,
  help: dialogs.help,
  back: () => { if (desk.page.urls.previous) visit(desk.page.urls.previous); },
};

function open(page) {
  sync?.close();
  const {tokens} = page.list;
  const {categories, min_tokens, several_patterns_per_token} = page.study;
  const rules = {
    length: tokens.length, categories, min_tokens, several_patterns_per_token,
    stopwords: new Set(tokens.filter((t) => t.stopword).map((t) => t.rank)),
  };
  Object.assign(desk, {page, rules, anchor: null, letters: false});
  keys = categoryKeys(categories);
  dialogs.showCategoryKeys(keys);
  touched = false;
  openedAt = performance.now();
  activity.reset(page.active_seconds);
  sync = createSync({
    page, person, rules,
    seconds: activity.seconds,
    content: () => toContent(desk.state),
    on: {
      state: showSaveState,
      conflict: askConflict,
      refused: (text) => view.message(words.refused(text), 'error'),
    },
  });
  view.open(page, rules);
  view.saveState('saved');
  const kept = page.study.open && sync.restore();
  const content = kept ? kept.content : page.draft.content;
  desk.state = start(normalise(content?.answer, rules), content?.ui, rules);
  view.showComment(desk.state.answer.comment !== '');
  desk.draw();
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

/** Seldom needed, so fetched only then; the server has just been reached. */
async function askConflict(conflict) {
  if (dialogs.isOpen()) return;
  const {chooseVersion} = await import('./conflict.js');
  const choice = await chooseVersion(conflict);
  if (choice) sync.resolve({keepMine: choice === 'mine'});
  else view.message(words.saveState('conflict', true), 'warning', [[words.COMPARE, () => askConflict(conflict)]]);
}

function submit() {
  if (!desk.writable()) return;
  // A second Enter meant for the list before must not submit this one unseen.
  if (replaced && !touched && performance.now() - openedAt < 600) return;
  const {answer} = desk.state;
  const trouble = problem(answer);
  if (trouble) {
    if (trouble.number) DO.choose(trouble);
    if (trouble.kind === 'no-category') view.wantCategory(trouble.number);
    view.message(words.problem(trouble, [...keys.keys()]), 'error');
    return;
  }
  const few = tooSmall(answer, desk.rules);
  const asked = desk.page.list.id + canonical(answer);
  if (few.length && warned !== asked) {
    warned = asked;
    view.message(words.tooSmall(few, desk.rules.min_tokens), 'warning', [[words.SUBMIT_ANYWAY, submit]]);
    return;
  }
  leaveBy((onWait) => sync.submit(finished(answer), onWait));
}

async function skip() {
  if (!desk.writable() || desk.page.list.state === 'submitted') return;
  const reason = await dialogs.reasonToSkip();
  if (reason) leaveBy(() => sync.skip(reason));
}

/** Send, and show the next list in this one's place. */
async function leaveBy(request) {
  setBusy(true);
  view.message(null);
  const {status, body, message} = await request(() => {
    // Waiting for a server can take long: the list may be changed meanwhile, which stops it.
    setBusy(false);
    if (sync.state() !== 'logged-out') view.message(words.SUBMIT_WAITS, 'warning');
  });
  setBusy(false);
  if (status === 'ok') goTo(body);
  else if (status === 'refused') view.message(message, 'error');
  else if (status === 'cancelled') view.message(words.SUBMIT_STOPPED);
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

// Keys and controls

const TYPING = 'input:not([type="radio"], [type="checkbox"]), textarea, select';
let byPointer = false;
let sitting = 0; // one stay in a text field is one step of undo

function placeOf(node) {
  if (node.closest('.row')) return 'list';
  if (node.closest('input')) return 'choice';
  return node.closest('button, a') ? 'control' : 'page';
}

addEventListener('keydown', (event) => {
  byPointer = false;
  if (event.defaultPrevented || dialogs.isOpen()) return;
  const field = event.target.closest(TYPING);
  if (field) {
    typed(event, field);
    return;
  }
  const where = placeOf(event.target);
  if (where !== 'list' && !dialogs.keysEverywhere()) return;
  const command = commandFor(event, {letters: desk.letters, keys, where});
  if (!command) return;
  event.preventDefault();
  DO[command.name](command);
});

/** In a text field only the keys that end typing do something. */
function typed(event, field) {
  const submits = event.key === 'Enter' && (event.ctrlKey || event.metaKey);
  const ends = event.key === 'Escape' || (event.key === 'Enter' && field.matches('.describe'));
  if (event.isComposing || !(submits || ends)) return;
  event.preventDefault();
  view.focusCursor();
  if (submits) submit();
}

addEventListener('pointerdown', () => { byPointer = true; }, true);

const numberAt = (node) => Number(node.closest('[data-number]')?.dataset.number) || undefined;
const isOurs = (node) => !node.closest('dialog');

addEventListener('click', (event) => {
  const node = event.target.closest('[data-do], a[href], [data-number]');
  if (!node) return;
  if (node.matches('a')) {
    // Links out of the page take what is unsaved along first.
    const aside = node.target || node.hash || event.ctrlKey || event.metaKey || event.shiftKey;
    if (aside || !sync.unsaved()) return;
    event.preventDefault();
    visit(node.href);
    return;
  }
  if (node.matches('input') && !desk.writable()) event.preventDefault();
  const number = numberAt(node);
  const command = node.dataset.do;
  if (number && number !== desk.state.current && command !== 'remove') DO.choose({number});
  if (!node.matches('button')) return;
  DO[command]({number});
  // After a click the keyboard belongs to the list again, so that Enter submits.
  const {activeElement: focused} = document;
  if (focused === document.body || (byPointer && focused === node)) view.focusCursor();
});

addEventListener('change', ({target}) => {
  if (!target.dataset.do) return;
  DO[target.dataset.do]({number: numberAt(target), category: target.value});
  if (byPointer) view.focusCursor();
});

addEventListener('beforeinput', (event) => {
  if (isOurs(event.target) && !desk.writable()) event.preventDefault();
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
  const number = numberAt(target);
  if (number && number !== desk.state.current) DO.choose({number});
});
view.$('comment').addEventListener('blur', () => view.showComment(desk.state.answer.comment !== ''));

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
const kept = Object.keys(localStorage).filter(
  (key) => key.startsWith(`${COPIES}${person}:`) && !key.endsWith(desk.page.list.id));
if (kept.length) import('./leftovers.js').then(({sendLeftovers}) => sendLeftovers(kept));
