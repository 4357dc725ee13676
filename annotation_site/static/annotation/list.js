// The annotation page: joins the state (answer, history), the view, the keyboard, the mouse and
// the server. Nothing between a key press and its picture waits for a request.

import {finished, isBlank, normalise, patternsOf, problem, same, stopwordsOf, tooSmall, canonical} from './answer.js';
import {act, redo, start, toContent, undo} from './history.js';
import {categoryKeys, commandFor} from './keyboard.js';
import {createActivity} from './activity.js';
import {createDialogs} from './dialogs.js';
import {createSync, sendLeftovers} from './sync.js';
import {createView} from './view.js';
import {watchPointer} from './pointer.js';
import * as words from './words.js';

const person = document.body.dataset.person ?? 'nobody';
const loginUrl = document.body.dataset.loginUrl;
const view = createView(document);
const {parts} = view;
const activity = createActivity();
const dialogs = createDialogs(document);

let page = null;
let rules = null;
let state = null;
let sync = null;
let keys = new Map();
let anchor = null; // where an extended selection began; null: only the cursor
let letters = false;
let busy = false;
let openedAt = 0;
let replaced = false; // this list was put in place of another without loading a page
let touched = false;
let confirmed = null; // the answer with small patterns that the person has agreed to submit
let byPointer = false;

// A list -------------------------------------------------------------------------------------

function open(data) {
  sync?.close();
  page = data;
  rules = {
    length: page.list.tokens.length,
    categories: page.study.categories,
    min_tokens: page.study.min_tokens,
    several_patterns_per_token: page.study.several_patterns_per_token,
    stopwords: new Set(page.list.tokens.filter((t) => t.stopword).map((t) => t.rank)),
  };
  keys = categoryKeys(rules.categories);
  dialogs.categoryKeys(keys);
  anchor = null;
  letters = false;
  touched = false;
  confirmed = null;
  openedAt = performance.now();
  activity.reset(page.active_seconds);
  sync = createSync({
    page, person, rules,
    seconds: activity.seconds,
    content: () => toContent(state),
    on: {
      state: saveStateChanged,
      conflict: askConflict,
      refused: (message) => view.message(words.refused(message), {tone: 'error'}),
    },
  });
  view.open(page, rules);
  const kept = page.study.open ? sync.restore() : null;
  const content = kept?.content ?? page.draft.content;
  state = start(normalise(content?.answer, rules), content?.ui, rules);
  view.showComment(state.answer.comment !== '');
  draw();
  view.saveState('saved', true);
  if (kept) {
    view.message(words.RESTORED);
    sync.changed();
    if (kept.conflict) askConflict(kept.conflict);
  }
}

function draw() {
  const range = anchor === null ? null : [Math.min(anchor, state.cursor), Math.max(anchor, state.cursor)];
  view.render(state, {selection: range, letters});
}

const writable = () => page.study.open && !busy;
const tokenOf = (rank) => page.list.tokens[rank - 1];
const nameOf = (rank) => `${rank} ${words.quoted(tokenOf(rank).display)}`;
const nameOfMany = (ranks) => (ranks.length === 1 ? nameOf(ranks[0]) : words.someTokens(ranks.length));

/** Replace the state, draw it, and have it saved. */
function become(next) {
  if (next === state) return false;
  const changed = next.answer !== state.answer;
  state = next;
  draw();
  if (changed) {
    touched = true;
    if (!parts.message.hidden) view.message(null);
    sync.changed();
  }
  return true;
}

function perform(action) {
  if (!writable()) {
    if (!page.study.open) view.announce(words.CLOSED);
    return false;
  }
  return become(act(state, action, rules));
}

// Tokens -------------------------------------------------------------------------------------

function selected() {
  const from = anchor ?? state.cursor;
  const [low, high] = [Math.min(from, state.cursor), Math.max(from, state.cursor)];
  return Array.from({length: high - low + 1}, (_, i) => low + i);
}

function moveTo(rank, {extend = false} = {}) {
  anchor = extend ? anchor ?? state.cursor : null;
  state = {...state, cursor: Math.min(Math.max(rank, 1), rules.length)};
  draw();
  view.focusCursor();
}

/** The pattern that clicks go to; there is always a next one to begin. */
const target = () => state.current || 1;

function assign(number, {stepOn = false} = {}) {
  const ranks = selected();
  const next = Math.min(number, state.answer.patterns.length + 1);
  // Where a token may be in several patterns, the same key takes it out again. Where it may not,
  // a digit says "this is 1" and saying it twice changes nothing.
  const several = rules.several_patterns_per_token;
  const members = state.answer.patterns[next - 1]?.ranks ?? [];
  const on = !(several && ranks.every((r) => members.includes(r)));
  const before = state.answer.patterns.length;
  const done = perform({type: 'assign', ranks, number: next, on});
  if (!done && state.current !== next && next <= before) become({...state, current: next});
  say(ranks, next);
  const last = Math.max(...ranks);
  anchor = null;
  if (stepOn && !several) moveTo(last + 1);
  else moveTo(state.cursor);
}

function toggle(ranks, number = target()) {
  const members = state.answer.patterns[number - 1]?.ranks ?? [];
  const on = !ranks.every((r) => members.includes(r));
  if (perform({type: 'assign', ranks, number, on})) say(ranks, number);
}

function clear({stepOn}) {
  const ranks = selected();
  if (perform({type: 'clear', ranks})) view.announce(words.cleared(nameOfMany(ranks)));
  anchor = null;
  moveTo(stepOn ? Math.max(...ranks) + 1 : state.cursor);
}

function say(ranks, number) {
  const pattern = state.answer.patterns[number - 1];
  const inside = ranks.every((r) => patternsOf(state.answer, r).includes(number));
  view.announce(inside
    ? words.assigned(nameOfMany(ranks), number, pattern.ranks.length) : words.cleared(nameOfMany(ranks)));
}

let drag = null;
watchPointer(parts.list, {
  toggle(rank) {
    moveTo(rank);
    toggle([rank]);
  },
  range(to) {
    const from = anchor ?? state.cursor;
    moveTo(to, {extend: true});
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    const ranks = Array.from({length: high - low + 1}, (_, i) => low + i);
    if (perform({type: 'assign', ranks, number: target()})) say(ranks, target());
  },
  dragStart(rank) {
    if (!writable()) return;
    const number = target();
    // The first token decides: from a free one a drag adds, from a member it takes out.
    const on = !state.answer.patterns[number - 1]?.ranks.includes(rank);
    drag = {base: state.answer, number, on, merge: `drag-${performance.now()}`};
    anchor = null;
  },
  drag(from, to) {
    if (!drag || !writable()) return;
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    const ranks = Array.from({length: high - low + 1}, (_, i) => low + i);
    // From the answer at the drag's start every time, so that dragging back gives back.
    const then = {...state, answer: drag.base};
    const next = act(then, {type: 'assign', ranks, number: drag.number, on: drag.on}, rules);
    perform({type: 'replace', answer: next.answer, merge: drag.merge});
    state = {...state, cursor: to, current: Math.min(drag.number, state.answer.patterns.length)};
    draw();
  },
  dragEnd() {
    if (!drag) return;
    view.announce(words.patternNow(drag.number, ''));
    drag = null;
    view.focusCursor();
  },
});

// Patterns -----------------------------------------------------------------------------------

function addPattern() {
  // A pattern that is still blank is the new pattern; a second one would only be in the way.
  const free = state.answer.patterns.find(isBlank);
  if (free) {
    become({...state, current: free.number});
  } else if (!perform({type: 'add'}) && writable()) {
    view.announce(words.FULL);
  }
  announceCurrent();
}

function choose(number) {
  const {patterns} = state.answer;
  if (number === patterns.length + 1) addPattern();
  else if (number >= 1 && number <= patterns.length) become({...state, current: number});
  announceCurrent();
}

function announceCurrent() {
  const pattern = state.answer.patterns[state.current - 1];
  if (pattern) view.announce(words.patternNow(pattern.number, pattern.description));
}

/** The current pattern, beginning the first where there is none; null when that is impossible. */
function currentPattern() {
  if (state.current === 0) perform({type: 'add'});
  return state.answer.patterns[state.current - 1] ?? null;
}

function setCategory(category) {
  const pattern = currentPattern();
  if (!pattern) return;
  perform({type: 'category', number: pattern.number, category});
  view.announce(words.categoryNow(pattern.number, category));
}

function toggleStopwords() {
  const pattern = state.answer.patterns[state.current - 1];
  if (!pattern) {
    view.announce(words.NO_CURRENT);
    return;
  }
  const on = !stopwordsOf(pattern, rules);
  perform({type: 'stopwords', number: pattern.number, stopwords: on});
  view.announce(words.stopwordsNow(pattern.number, on));
}

function removePattern(number) {
  if (number) perform({type: 'remove', number});
}

function describe() {
  const pattern = currentPattern();
  if (!pattern || !writable()) return;
  const input = view.card(pattern.number).querySelector('.describe');
  input.focus();
  input.setSelectionRange(input.value.length, input.value.length);
}

function setNone(on) {
  const n = state.answer.patterns.length;
  if (!perform({type: 'none', on})) return;
  if (on && n > 0) view.message(words.removedForNone(n), {actions: [[parts.undo.dataset.label, () => travel(undo)]]});
  if (on) view.announce(words.NO_PATTERN_HERE);
}

function travel(direction) {
  if (!writable()) return;
  const forward = direction === redo;
  if (become(direction(state))) view.announce(forward ? words.REDONE : words.UNDONE);
  else view.announce(forward ? words.NOTHING_TO_REDO : words.NOTHING_TO_UNDO);
}

// Saving and submitting ----------------------------------------------------------------------

function saveStateChanged(name, keepsCopies) {
  view.saveState(name, keepsCopies);
  if (name === 'logged-out') {
    const actions = loginUrl ? [[parts.message.dataset.login, loginUrl]] : [];
    actions.push([parts.message.dataset.retry, () => sync.retryNow()]);
    view.message(words.LOGGED_OUT, {tone: 'warning', actions});
  } else if (name === 'saved' && parts.messageText.textContent === words.LOGGED_OUT) {
    view.message(null);
  }
}

async function askConflict(conflict) {
  const theirs = normalise(conflict.content?.answer, rules);
  const token = (rank) => words.quoted(tokenOf(rank).display);
  const choice = await dialogs.conflict(words.differences(finished(state.answer), finished(theirs), token));
  if (choice === null) {
    view.message(words.SAVE_STATES.conflict, {
      tone: 'warning', actions: [[parts.message.dataset.compare, () => askConflict(sync.conflict())]]});
    return;
  }
  // Whatever is chosen, the other version stays one undo away.
  const mine = state;
  const keepMine = choice === 'mine';
  const merged = act(keepMine ? {...mine, answer: theirs} : mine,
    {type: 'replace', answer: keepMine ? mine.answer : theirs}, rules);
  state = {...merged, past: merged.past, merge: null};
  draw();
  view.message(null);
  sync.resolve({keepMine});
  view.focusCursor();
}

async function submit() {
  if (busy || !page.study.open) return;
  // A second Enter meant for the list before must not submit this one unseen.
  if (replaced && !touched && performance.now() - openedAt < 600) return;
  const trouble = problem(state.answer);
  if (trouble) {
    view.message(words.problem(trouble, [...keys.keys()]), {tone: 'error'});
    if (trouble.number) become({...state, current: trouble.number});
    if (trouble.kind === 'no-category') view.wantCategory(trouble.number);
    return;
  }
  const few = tooSmall(state.answer, rules);
  const agreed = canonical(state.answer);
  if (few.length > 0 && confirmed !== agreed) {
    if (!await dialogs.small(words.tooSmall(few, rules.min_tokens))) return;
    confirmed = agreed;
  }
  await leaveBy((onWait) => sync.submit(finished(state.answer), onWait));
}

async function skip() {
  if (busy || !page.study.open || page.list.state === 'submitted') return;
  const reason = await dialogs.skip();
  if (reason === null) return;
  await leaveBy(() => sync.skip(reason));
}

/** Send, and show the next list in this one's place. */
async function leaveBy(request) {
  setBusy(true);
  view.message(null);
  const reply = await request(() => {
    // Waiting for a server can take long: the list may be changed meanwhile, which stops it.
    setBusy(false);
    if (sync.state() !== 'logged-out') view.message(words.SUBMIT_WAITS, {tone: 'warning'});
  });
  if (reply.status === 'ok') {
    goTo(reply.body);
    return;
  }
  setBusy(false);
  if (reply.status === 'refused') view.message(reply.message, {tone: 'error'});
  else if (reply.status === 'cancelled') view.message(words.SUBMIT_STOPPED);
  else if (reply.status !== 'conflict' && reply.status !== 'logged-out') {
    view.message(words.SKIP_NEEDS_CONNECTION, {tone: 'warning'});
  }
}

function goTo({next, next_url: url}) {
  if (!next) {
    location.assign(url);
    return;
  }
  history.pushState(null, '', url);
  replaced = true;
  setBusy(false);
  open(next);
  view.announce(words.listNow(next.list.position, next.list.total));
  view.focusCursor();
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

// Keys ---------------------------------------------------------------------------------------

const DO = {
  next: () => moveTo((anchor === null ? state.cursor : Math.max(anchor, state.cursor)) + 1),
  previous: () => moveTo((anchor === null ? state.cursor : Math.min(anchor, state.cursor)) - 1),
  first: () => moveTo(1),
  last: () => moveTo(rules.length),
  'extend-next': () => moveTo(state.cursor + 1, {extend: true}),
  'extend-previous': () => moveTo(state.cursor - 1, {extend: true}),
  'extend-first': () => moveTo(1, {extend: true}),
  'extend-last': () => moveTo(rules.length, {extend: true}),
  assign: ({number}) => assign(number, {stepOn: true}),
  choose: ({number}) => choose(number),
  toggle: () => { toggle(selected()); moveTo(state.cursor); },
  pick: ({rank}) => { if (rank <= rules.length) { moveTo(rank); toggle([rank]); } },
  clear: () => clear({stepOn: false}),
  'clear-step': () => clear({stepOn: true}),
  letters: () => setLetters(true),
  leave: () => { setLetters(false); anchor = null; draw(); view.focusCursor(); },
  new: addPattern,
  'next-pattern': () => choose(Math.min(state.current + 1, state.answer.patterns.length)),
  'previous-pattern': () => choose(Math.max(state.current - 1, 1)),
  describe,
  category: ({category}) => setCategory(category),
  stopwords: toggleStopwords,
  remove: () => removePattern(state.current),
  undo: () => travel(undo),
  redo: () => travel(redo),
  none: () => setNone(!state.answer.no_pattern),
  comment: () => { view.showComment(true); parts.comment.focus(); },
  search: () => parts.search.click(),
  wikipedia: () => parts.wikipedia.click(),
  guidelines: toggleGuidelines,
  help: () => dialogs.help(),
  back: () => { if (page.urls.previous) visit(page.urls.previous); },
  skip,
  submit,
};

function setLetters(on) {
  if (letters === on) return;
  letters = on;
  draw();
  if (on) {
    view.announce(words.LETTERS_ON);
    view.focusCursor();
  }
}

const TYPING = 'input:not([type="radio"], [type="checkbox"]), textarea, select, [contenteditable]';

function kindOf(element) {
  if (element.closest('.row')) return 'list';
  if (element.closest('input[type="radio"], input[type="checkbox"]')) return 'choice';
  if (element.closest('button, a, summary')) return 'control';
  return 'page';
}

addEventListener('keydown', (event) => {
  byPointer = false;
  if (event.defaultPrevented || dialogs.isOpen()) return;
  const typing = event.target.closest?.(TYPING);
  if (typing) {
    typed(event, typing);
    return;
  }
  const where = kindOf(event.target);
  if (!dialogs.shortcutsOn() && where !== 'list') return;
  const command = commandFor(event, {letters, keys, where});
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

// Controls -----------------------------------------------------------------------------------

addEventListener('pointerdown', () => { byPointer = true; }, {capture: true});

/** After a click the keyboard belongs to the list again, so that Enter submits. */
function backToList() {
  if (byPointer) view.focusCursor();
}

const numberOf = (node) => Number(node.closest('[data-number]').dataset.number);

for (const area of [parts.cards, parts.picker]) {
  area.addEventListener('click', (event) => {
    const card = event.target.closest('[data-number]');
    if (!card) return;
    const number = numberOf(card);
    const what = event.target.closest('[data-do]')?.dataset.do;
    if (what === 'remove') removePattern(number);
    else if (number <= state.answer.patterns.length && number !== state.current) choose(number);
    if (what === 'choose' || what === 'remove') backToList();
  });
}

parts.cards.addEventListener('change', (event) => {
  const {dataset, value, checked} = event.target;
  const number = numberOf(event.target);
  if (dataset.do === 'category') perform({type: 'category', number, category: value});
  if (dataset.do === 'stopwords') perform({type: 'stopwords', number, stopwords: checked});
  if (dataset.do !== 'describe') backToList();
});

parts.cards.addEventListener('focusin', (event) => {
  const number = numberOf(event.target);
  if (event.target.matches('.describe') && number !== state.current) choose(number);
});

let sitting = 0; // one stay in a text field is one step of undo
addEventListener('focusin', (event) => { if (event.target.matches(TYPING)) sitting += 1; });

addEventListener('input', (event) => {
  const field = event.target;
  if (field.matches('.describe')) {
    perform({type: 'describe', number: numberOf(field), description: field.value, merge: `text-${sitting}`});
  } else if (field === parts.comment) {
    perform({type: 'comment', comment: field.value, merge: `text-${sitting}`});
  }
});

parts.comment.addEventListener('blur', () => view.showComment(state.answer.comment !== ''));
parts.none.addEventListener('change', () => { setNone(parts.none.checked); draw(); backToList(); });

const CLICKS = {
  add: 'new', undo: 'undo', redo: 'redo', submit: 'submit', 'skip-open': 'skip',
  'comment-open': 'comment', 'help-open': 'help', 'guidelines-open': 'guidelines',
  'guidelines-close': 'guidelines', 'letters-open': 'letters', 'picker-add': 'new',
};
for (const [id, command] of Object.entries(CLICKS)) {
  document.getElementById(id)?.addEventListener('click', () => {
    DO[command]({});
    if (!['comment', 'help', 'skip', 'guidelines'].includes(command)) backToList();
  });
}

// Links out of the page take what is unsaved along first.
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  const elsewhere = !link || link.target || link.hash || event.button || event.ctrlKey || event.metaKey || event.shiftKey;
  if (elsewhere || !sync.unsaved()) return;
  event.preventDefault();
  visit(link.href);
});

// Guidelines: open or closed as left -----------------------------------------------------------

const guidelines = document.getElementById('guidelines');
const GUIDELINES_KEY = `ffn-concepts:guidelines:${person}`;

function showGuidelines(on) {
  guidelines.hidden = !on;
  document.body.classList.toggle('with-guidelines', on);
  document.getElementById('guidelines-open').setAttribute('aria-expanded', on);
}

function toggleGuidelines() {
  if (!guidelines) return;
  const on = guidelines.hidden;
  showGuidelines(on);
  try { localStorage.setItem(GUIDELINES_KEY, on ? 'open' : ''); } catch { /* then not remembered */ }
  if (on) guidelines.focus();
  else view.focusCursor();
}

if (guidelines) {
  let left = null;
  try { left = localStorage.getItem(GUIDELINES_KEY); } catch { /* as if never opened */ }
  showGuidelines(left === 'open');
}

// The page's life ------------------------------------------------------------------------------

addEventListener('online', () => sync.retryNow());
addEventListener('focus', () => sync.retryNow());
addEventListener('visibilitychange', () => { if (!document.hidden) sync.retryNow(); });
addEventListener('pagehide', () => sync.leave());
addEventListener('beforeunload', (event) => { if (sync.unsaved()) event.preventDefault(); });
// Back and forward load the list that the address names; a page kept by the browser may be old.
addEventListener('popstate', () => { if (location.pathname !== page.urls.page) location.reload(); });
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

open(JSON.parse(document.getElementById('page-data').textContent));
if (!document.activeElement || document.activeElement === document.body) view.focusCursor();
setTimeout(() => sendLeftovers(person, page.list.id), 2_000);
document.documentElement.dataset.ready = 'yes';
