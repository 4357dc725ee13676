// The annotation page: joins the state (answer, history), the view, the commands and the server.
// Nothing between a key press and its picture waits for a request.

import {canonical, finished, normalise, problem, tooSmall} from './answer.js';
import {createActivity} from './activity.js';
import {createCommands} from './commands.js';
import {createDialogs} from './dialogs.js';
import {act, start, toContent} from './history.js';
import {categoryKeys, commandFor} from './keyboard.js';
import {createSync, sendLeftovers} from './sync.js';
import {$, createView} from './view.js';
import * as words from './words.js';

const {person = 'nobody', loginUrl} = document.body.dataset;
const view = createView();
const activity = createActivity();
const dialogs = createDialogs(view, person);

let sync = null;
let keys = new Map();
let busy = false;
let openedAt = 0;
let replaced = false; // this list took another's place without loading a page
let touched = false;
let agreed = null; // the answer with small patterns that the person has agreed to submit

const desk = {
  page: null,
  rules: null,
  state: null,
  anchor: null, // where an extended selection began; null: only the cursor
  letters: false,
  writable: () => desk.page.study.open && !busy,
  draw: () => view.render(desk.state, desk),

  /** Replace the state, draw it, and have it saved; false when it is the same. */
  become(next) {
    if (next === desk.state) return false;
    const changed = next.answer !== desk.state.answer;
    desk.state = next;
    desk.draw();
    if (changed) {
      touched = true;
      if (sync.state() !== 'logged-out') view.message(null);
      sync.changed();
    }
    return true;
  },

  perform(action) {
    if (desk.writable()) return desk.become(act(desk.state, action, desk.rules));
    if (!desk.page.study.open) view.announce(words.CLOSED);
    return false;
  },
};

const DO = {
  ...createCommands(desk, view),
  guidelines: dialogs.guidelines,
  help: dialogs.help,
  back: () => { if (desk.page.urls.previous) visit(desk.page.urls.previous); },
  skip,
  submit,
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
  dialogs.categoryKeys(keys);
  touched = false;
  agreed = null;
  openedAt = performance.now();
  activity.reset(page.active_seconds);
  sync = createSync({
    page, person, rules,
    seconds: activity.seconds,
    content: () => toContent(desk.state),
    on: {
      state: saveStateChanged,
      conflict: askConflict,
      refused: (message) => view.message(words.refused(message), 'error'),
    },
  });
  view.open(page, rules);
  view.saveState('saved');
  const kept = page.study.open ? sync.restore() : null;
  const content = kept?.content ?? page.draft.content;
  desk.state = start(normalise(content?.answer, rules), content?.ui, rules);
  view.showComment(desk.state.answer.comment !== '');
  desk.draw();
  if (kept) {
    view.message(words.RESTORED);
    sync.changed();
    if (kept.conflict) askConflict(kept.conflict);
  }
}

// Saving and submitting ----------------------------------------------------------------------

function saveStateChanged(name, keepsCopies) {
  const before = $('save-state').dataset.state;
  view.saveState(name, keepsCopies);
  if (name === 'logged-out') {
    const actions = loginUrl ? [[words.LOG_IN, loginUrl]] : [];
    view.message(words.LOGGED_OUT, 'warning', [...actions, [words.TRY_AGAIN, () => sync.retryNow()]]);
  } else if (before === 'logged-out') {
    view.message(null);
  }
}

async function askConflict(conflict) {
  const theirs = normalise(conflict.content?.answer, desk.rules);
  const choice = await dialogs.conflict(finished(desk.state.answer), finished(theirs), desk.page.list.tokens);
  if (!choice) {
    const actions = [[words.COMPARE, () => askConflict(sync.conflict())]];
    view.message(words.saveState('conflict', true), 'warning', actions);
    return;
  }
  // Whatever is chosen, the other version stays one undo away.
  const [keep, drop] = choice === 'mine' ? [desk.state.answer, theirs] : [theirs, desk.state.answer];
  desk.state = act({...desk.state, answer: drop}, {type: 'replace', answer: keep}, desk.rules);
  desk.draw();
  view.message(null);
  sync.resolve({keepMine: choice === 'mine'});
  view.focusCursor();
}

async function submit() {
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
  if (few.length && agreed !== canonical(answer)) {
    if (!await dialogs.small(words.tooSmall(few, desk.rules.min_tokens))) return;
    agreed = canonical(answer);
  }
  leaveBy((onWait) => sync.submit(finished(answer), onWait));
}

async function skip() {
  if (!desk.writable() || desk.page.list.state === 'submitted') return;
  const reason = await dialogs.skip();
  if (reason) leaveBy(() => sync.skip(reason));
}

/** Send, and show the next list in this one's place. */
async function leaveBy(request) {
  setBusy(true);
  view.message(null);
  const reply = await request(() => {
    // Waiting for a server can take long: the list may be changed meanwhile, which stops it.
    setBusy(false);
    if (sync.state() !== 'logged-out') view.message(words.SUBMIT_WAITS, 'warning');
  });
  setBusy(false);
  if (reply.status === 'ok') goTo(reply.body);
  else if (reply.status === 'refused') view.message(reply.message, 'error');
  else if (reply.status === 'cancelled') view.message(words.SUBMIT_STOPPED);
  else if (reply.status === 'offline' || reply.status === 'server') view.message(words.NOT_SKIPPED, 'warning');
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
  busy = on;
  view.busy(on);
}

/** Leave for another page of the site once what is here is saved. */
async function visit(url) {
  await sync.save();
  location.assign(url);
}

// Keys and controls ----------------------------------------------------------------------------

const TYPING = 'input:not([type="radio"], [type="checkbox"]), textarea, select, [contenteditable]';
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
  if (event.isComposing || (!submits && !ends)) return;
  event.preventDefault();
  view.focusCursor();
  if (submits) submit();
}

addEventListener('pointerdown', () => { byPointer = true; }, {capture: true});

const numberAt = (node) => Number(node.closest('[data-number]')?.dataset.number) || undefined;

addEventListener('click', (event) => {
  const node = event.target.closest('[data-do], a[href], [data-number]');
  if (!node) return;
  if (node.matches('a[href]')) {
    // Links out of the page take what is unsaved along first.
    const aside = node.target || node.hash || event.ctrlKey || event.metaKey || event.shiftKey;
    if (aside || !sync.unsaved()) return;
    event.preventDefault();
    visit(node.href);
    return;
  }
  const number = numberAt(node);
  if (number && number !== desk.state.current && node.dataset.do !== 'remove') DO.choose({number});
  if (node.matches('button')) DO[node.dataset.do]({number});
  // After a click the keyboard belongs to the list again, so that Enter submits.
  if (byPointer && node.matches('button') && document.activeElement === node) view.focusCursor();
  if (byPointer && !document.activeElement.isConnected) view.focusCursor();
});

addEventListener('change', (event) => {
  const {dataset, value: category} = event.target;
  if (!dataset.do || event.target.matches(TYPING)) return;
  DO[dataset.do]({number: numberAt(event.target), category});
  desk.draw(); // a control that was not allowed to change goes back
  if (byPointer) view.focusCursor();
});

addEventListener('input', ({target}) => {
  const merge = `text-${sitting}`;
  if (target.matches('.describe')) {
    desk.perform({type: 'describe', number: numberAt(target), description: target.value, merge});
  } else if (target === $('comment')) {
    desk.perform({type: 'comment', comment: target.value, merge});
  }
});

addEventListener('focusin', ({target}) => {
  if (!target.matches(TYPING)) return;
  sitting += 1;
  const number = numberAt(target);
  if (number && number !== desk.state.current) DO.choose({number});
});
$('comment').addEventListener('blur', () => view.showComment(desk.state.answer.comment !== ''));

// The page's life ------------------------------------------------------------------------------

for (const type of ['online', 'focus', 'visibilitychange']) {
  addEventListener(type, () => { if (!document.hidden) sync.retryNow(); });
}
addEventListener('pagehide', () => sync.leave());
addEventListener('beforeunload', (event) => { if (sync.unsaved()) event.preventDefault(); });
// Back and forward load the list that the address names; a page kept by the browser may be old.
addEventListener('popstate', () => { if (location.pathname !== desk.page.urls.page) location.reload(); });
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

open(JSON.parse($('page-data').textContent));
if (document.activeElement === document.body) view.focusCursor();
setTimeout(() => sendLeftovers(person, desk.page.list.id), 2_000);
document.documentElement.dataset.ready = 'yes';
