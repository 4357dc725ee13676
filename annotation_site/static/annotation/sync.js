// Keeps one list's draft on the server, and a copy on this computer until the server has
// acknowledged it. Touches no document: it reports by callbacks.
//
// A 409 with work of this page is no conflict: a reply was lost.

import {annotationOf, normalise, same} from './annotation.js';
import {local} from './storage.js';

const DEBOUNCE = 400;
const LONGEST_WAIT = 900;
const TIMEOUT = 12_000;
const LOOK_AGAIN = 10_000; // at the earliest, whether another tab has saved
const BACKOFF = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

/** Failures that pass by themselves. */
export const PASSING = ['offline', 'server', 'busy', 'logged-out'];
export const COPIES = 'ffn-concepts:draft:';

/** {status: 'ok', body} | one of PASSING ('busy' with message, seconds) | {'conflict', details}
    | {'refused', code, message}. */
export async function send(method, url, body, keepalive = false) {
  let response;
  try {
    response = await fetch(url, {
      method, keepalive, body: JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT),
      headers: {
        'Content-Type': 'application/json',
        'X-CSRFToken': document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? '',
      },
    });
  } catch (error) {
    return {status: error.name === 'TimeoutError' ? 'server' : 'offline'};
  }
  const reply = await response.json().catch(() => null);
  if (response.ok && reply) return {status: 'ok', body: reply};
  const {code, message, details} = reply?.error ?? {};
  if (code === 'not_authenticated') return {status: 'logged-out'};
  if (code === 'draft_conflict') return {status: 'conflict', details};
  // Without the site's own error, something before the site answered.
  if (!message || response.status >= 500) return {status: 'server'};
  if (response.status === 429) {
    return {status: 'busy', message, seconds: Number(response.headers.get('Retry-After')) || 0};
  }
  return {status: 'refused', code, message};
}

/**
 * page: as the server sent it; rules: as in annotation.js; seconds(): active seconds now;
 * content(): what to save, made only when it is sent;
 * on: {state(name, keepsCopies), conflict({version, content}), overtaken(ask), refused(message)};
 * ask() leads to `conflict`.
 */
export function createSync({page, person, rules, seconds, content, on}) {
  const {draft, urls} = page;
  const key = `${COPIES}${person}:${page.list.id}`;
  const annotationIn = (raw) => normalise(annotationOf(raw), rules);

  let {version} = draft;
  let acknowledged = annotationIn(draft.content);
  let unanswered = [];
  let revision = 0; // counts changes
  let savedRevision = 0;
  let sentSeconds = page.active_seconds;
  let state = 'saved';
  let timer = 0;
  let copyTimer = 0;
  let oldestChange = 0;
  let failures = 0;
  let saving = null;
  let conflict = null;
  let waiting = null; // ends a submission's pause between two attempts
  let closed = false;
  let lookAgain = 0;
  let keepsCopies = true;

  const unsaved = () => revision !== savedRevision;
  const draftNow = () => ({base_version: version, content: content(), active_seconds: seconds()});

  function show(name) {
    state = name;
    if (!closed) on.state(name, keepsCopies);
  }

  function schedule(delay = DEBOUNCE) {
    clearTimeout(timer);
    timer = setTimeout(save, delay);
  }

  function backoff({seconds = 0}) {
    // Spread, so that not all pages come at once when a server is back.
    const own = BACKOFF[Math.min(failures, BACKOFF.length) - 1] * (0.75 + Math.random() / 2);
    return Math.max(own, seconds * 1_000);
  }

  // The copy on this computer

  function keepCopy() {
    clearTimeout(copyTimer);
    copyTimer = 0;
    if (!unsaved() || closed) return;
    keepsCopies = local.set(
      key, JSON.stringify({...draftNow(), base: acknowledged, url: urls.draft}));
  }

  function dropCopy() {
    clearTimeout(copyTimer);
    copyTimer = 0;
    local.remove(key);
  }

  /** At the start: {content, conflict} when this computer kept work that the server lacks. */
  function restore() {
    const copy = local.json(key); // unreadable: as if none
    if (!copy) return null;
    if (same(annotationIn(copy.content), acknowledged)) {
      dropCopy();
      return null;
    }
    revision += 1;
    const ours = copy.base_version === version || same(normalise(copy.base, rules), acknowledged);
    if (!ours) conflict = {version, content: draft.content};
    return {content: copy.content, conflict};
  }

  // Drafts

  function changed() {
    revision += 1;
    waiting?.();
    oldestChange ||= performance.now();
    copyTimer ||= setTimeout(keepCopy, 0);
    if (conflict) show('conflict');
    else if (failures === 0) {
      show('saving');
      schedule(Math.min(DEBOUNCE, Math.max(0, oldestChange + LONGEST_WAIT - performance.now())));
    }
  }

  function save() {
    clearTimeout(timer);
    if (closed || conflict || !unsaved()) return Promise.resolve();
    saving ??= saveOnce().finally(() => { saving = null; });
    return saving;
  }

  async function saveOnce() {
    const sentRevision = revision;
    const body = draftNow();
    oldestChange = 0;
    unanswered.push(body.content.annotation);
    const reply = await send('PUT', urls.draft, body);
    if (closed) return;
    if (PASSING.includes(reply.status)) {
      failures += 1;
      keepCopy();
      show(reply.status);
      schedule(backoff(reply));
      return;
    }
    failures = 0;
    if (reply.status === 'refused') {
      keepCopy();
      show('refused');
      on.refused(reply.message);
      return; // until the next change
    }
    if (reply.status === 'ok') {
      sentSeconds = body.active_seconds;
      accept(reply.body.version, body.content.annotation, sentRevision);
    } else {
      settle(reply.details);
    }
    if (unsaved() && !conflict) schedule();
  }

  function accept(newVersion, annotation, sentRevision) {
    version = newVersion;
    acknowledged = annotation;
    unanswered = [];
    savedRevision = sentRevision;
    if (unsaved()) keepCopy();
    else dropCopy();
    show(unsaved() ? 'saving' : 'saved');
  }

  /** True when the server's newer draft holds nothing that is not ours. */
  function settle({version: newer, content: stored}) {
    const theirs = annotationIn(stored);
    if (same(theirs, content().annotation)) {
      accept(newer, theirs, revision);
      return true;
    }
    if ([acknowledged, ...unanswered].some((known) => same(known, theirs))) {
      version = newer;
      acknowledged = theirs;
      return true;
    }
    conflict = {version: newer, content: stored};
    keepCopy();
    show('conflict');
    on.conflict(conflict);
    return false;
  }

  /** Whether another tab or device has saved since; asked only while nothing is unsaved here. */
  async function look() {
    const idle = () => state === 'saved' && !closed;
    if (!idle() || performance.now() < lookAgain) return;
    lookAgain = performance.now() + LOOK_AGAIN;
    const {body} = await send('GET', urls.draft);
    if (!idle() || !(body?.version > version) || same(annotationIn(body.content), acknowledged)) return;
    show('overtaken');
    on.overtaken(() => settle(body));
  }

  /** The person has chosen between what is here and what the server has. */
  function resolve({keepMine}) {
    const {version: newer, content: stored} = conflict;
    conflict = null;
    accept(newer, annotationIn(stored), revision);
    if (keepMine) changed();
  }

  /** When the page goes away: the copy stays, and one last request outlives the page. */
  function leave() {
    keepCopy();
    // Time spent reading counts too; a list that was only looked at again is left alone.
    const read = page.list.state === 'in progress' && seconds() - sentSeconds >= 5;
    if (conflict || saving || closed || !(unsaved() || read)) return;
    send('PUT', urls.draft, draftNow(), true);
  }

  // Submitting and skipping

  /**
   * POST until there is a reply (`once`: a single time), always with one key, so that it counts
   * once. `send`'s result, or {status: 'cancelled'} by a change.
   */
  async function post(url, fields, {once = false, onWait} = {}) {
    clearTimeout(timer);
    if (saving) await saving;
    clearTimeout(timer);
    if (conflict) {
      on.conflict(conflict);
      return {status: 'conflict'};
    }
    const postKey = uuid();
    const started = revision;
    if (fields().annotation) unanswered.push(fields().annotation);
    for (;;) {
      show('submitting');
      const reply = await send('POST', url, {base_version: version, key: postKey, ...fields()});
      if (reply.status === 'conflict') {
        if (settle(reply.details)) continue;
        return reply;
      }
      if (reply.status === 'ok' && revision === started) {
        savedRevision = revision;
        dropCopy();
        close();
        return reply;
      }
      // Changed during a later attempt: now there is a draft on top of the submission.
      if (reply.status === 'ok') reply.status = 'cancelled';
      const passing = PASSING.includes(reply.status);
      if (passing && !once) {
        failures += 1;
        keepCopy();
        show(reply.status);
        onWait();
        if (await pause(started, reply)) continue;
        reply.status = 'cancelled';
      } else {
        show(unsaved() ? 'saving' : 'saved');
      }
      failures = 0;
      if (unsaved()) schedule();
      return reply;
    }
  }

  /** False when a change since the revision `started` cuts it short or came before it. */
  async function pause(started, reply) {
    if (revision !== started) return false;
    await new Promise((done) => {
      const wait = setTimeout(done, backoff(reply));
      waiting = () => { clearTimeout(wait); done(); };
    });
    waiting = null;
    return revision === started;
  }

  function close() {
    keepCopy();
    closed = true;
    clearTimeout(timer);
    clearTimeout(copyTimer);
  }

  return {
    changed, save, restore, resolve, leave, close, unsaved,
    state: () => state,
    retryNow() {
      if (waiting) waiting();
      else if (unsaved()) save();
      else look();
    },
    submit: (annotation, onWait) => post(
      urls.submit, () => ({annotation, active_seconds: seconds()}), {onWait}),
    skip: (reason) => post(
      urls.skip, () => ({reason, active_seconds: seconds()}), {once: true}),
  };
}

/** Every address of a blob ends in one; `crypto.randomUUID` exists only where there is https. */
const uuid = () => URL.createObjectURL(new Blob()).slice(-36);
