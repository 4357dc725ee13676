// Keeps one list's draft on the server, and a copy on this computer for as long as the server
// has not acknowledged it. Nothing here touches the document: it reports by callbacks.
//
// Three texts tell conflicts from echoes: what the server last acknowledged, what was sent
// without an answer, and what is here now. A 409 that shows one of the first two is our own work
// coming back (a reply was lost on the way); only anything else is another person's hand.

import {EMPTY, canonical, normalise, same} from './answer.js';

const DEBOUNCE = 400;
const LONGEST_WAIT = 900;
const TIMEOUT = 12_000;
const BACKOFF = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

const PREFIX = 'ffn-concepts:draft:';
const keyOf = (person, id) => `${PREFIX}${person}:${id}`;

function csrfToken() {
  return document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/)?.[1] ?? '';
}

/**
 * One request. {status: 'ok', body} | {status: 'offline' | 'server'} (try again later)
 * | {status: 'logged-out'} | {status: 'conflict', details} | {status: 'refused', message}.
 */
async function send(method, url, body, {keepalive = false} = {}) {
  let response;
  try {
    response = await fetch(url, {
      method, keepalive, credentials: 'same-origin',
      headers: {'Content-Type': 'application/json', 'X-CSRFToken': csrfToken()},
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT),
    });
  } catch (error) {
    return {status: error.name === 'TimeoutError' ? 'server' : 'offline'};
  }
  const reply = await response.json().catch(() => null);
  if (response.ok && reply && !response.redirected) return {status: 'ok', body: reply};
  const {code, message, details} = reply?.error ?? {};
  if (code === 'not_authenticated' || response.redirected) return {status: 'logged-out'};
  if (code === 'draft_conflict') return {status: 'conflict', details};
  // Without our error shape it is something between us and the site that answered.
  if (!message || response.status >= 500 || response.status === 429) return {status: 'server'};
  return {status: 'refused', code, message};
}

/**
 * page: as the server sent it. rules: as in answer.js. seconds(): active seconds now.
 * content(): what to save, made only when it is sent.
 * on.state(name), on.conflict({version, content}), on.refused(message).
 */
export function createSync({page, person, rules, seconds, content, on}) {
  const key = keyOf(person, page.list.id);
  const ofServer = (raw) => normalise(raw?.answer, rules);

  let version = page.draft.version;
  let acknowledged = ofServer(page.draft.content);
  const unanswered = [];
  let revision = 0; // counts changes
  let savedRevision = 0;
  let state = 'saved';
  let timer = 0;
  let copyTimer = 0;
  let oldestChange = 0;
  let failures = 0;
  let saving = null;
  let conflict = null;
  let closed = false;
  let sentSeconds = page.active_seconds;
  let keepsCopies = true;
  let waitingSubmit = null;

  const unsaved = () => revision !== savedRevision;

  function show(name) {
    if (closed) return;
    state = name;
    on.state(name, keepsCopies);
  }

  // The copy on this computer ----------------------------------------------------------------

  function keepCopy() {
    clearTimeout(copyTimer);
    copyTimer = 0;
    if (!unsaved() || closed) return;
    try {
      localStorage.setItem(key, JSON.stringify({
        base_version: version, base: acknowledged, content: content(),
        active_seconds: seconds(), url: page.urls.draft,
      }));
      keepsCopies = true;
    } catch {
      keepsCopies = false;
    }
  }

  function dropCopy() {
    clearTimeout(copyTimer);
    copyTimer = 0;
    try { localStorage.removeItem(key); } catch { /* nothing is kept then */ }
  }

  /** At the start: {content, conflict} when this computer kept work that the server lacks. */
  function restore() {
    let copy = null;
    try { copy = JSON.parse(localStorage.getItem(key)); } catch { /* unreadable: as if none */ }
    if (!copy?.content) return null;
    const kept = ofServer(copy.content);
    if (same(kept, acknowledged)) {
      dropCopy();
      return null;
    }
    revision += 1;
    const ours = copy.base_version === version || same(normalise(copy.base, rules), acknowledged);
    if (!ours) conflict = {version, content: page.draft.content};
    return {content: copy.content, conflict};
  }

  // Drafts -----------------------------------------------------------------------------------

  function schedule(delay) {
    clearTimeout(timer);
    timer = setTimeout(save, delay);
  }

  function changed() {
    revision += 1;
    if (waitingSubmit) waitingSubmit.cancel();
    oldestChange ||= performance.now();
    copyTimer ||= setTimeout(keepCopy, 0);
    if (conflict) return show('conflict');
    if (failures === 0) {
      show('saving');
      schedule(Math.min(DEBOUNCE, Math.max(0, oldestChange + LONGEST_WAIT - performance.now())));
    }
    return undefined;
  }

  function save() {
    clearTimeout(timer);
    if (closed || conflict || !unsaved()) return Promise.resolve();
    saving ??= saveOnce().finally(() => { saving = null; });
    return saving;
  }

  async function saveOnce() {
    const sentRevision = revision;
    const sent = content();
    oldestChange = 0;
    unanswered.push(sent.answer);
    const reply = await send('PUT', page.urls.draft, {
      base_version: version, content: sent, active_seconds: seconds()});
    if (closed) return;
    if (reply.status === 'ok') {
      failures = 0;
      sentSeconds = seconds();
      accept(reply.body.version, sent.answer, sentRevision);
    } else if (reply.status === 'conflict') {
      failures = 0;
      settle(reply.details);
    } else if (reply.status === 'refused') {
      failures = 0;
      show('refused');
      on.refused(reply.message);
      return;
    } else {
      failures += 1;
      keepCopy();
      show(reply.status);
      schedule(backoff());
      return;
    }
    if (unsaved() && !conflict) schedule(DEBOUNCE);
  }

  function backoff() {
    const longest = BACKOFF[Math.min(failures, BACKOFF.length) - 1];
    return longest * (0.75 + Math.random() / 2); // not all pages at once when a server is back
  }

  function accept(newVersion, answer, sentRevision) {
    version = newVersion;
    acknowledged = answer;
    unanswered.length = 0;
    savedRevision = sentRevision;
    if (unsaved()) {
      keepCopy();
      show('saving');
    } else {
      dropCopy();
      show('saved');
    }
  }

  /** True when the server's newer draft holds nothing that is not ours. */
  function settle(details) {
    const theirs = ofServer(details.content);
    if (same(theirs, content().answer)) {
      accept(details.version, theirs, revision);
      return true;
    }
    if ([acknowledged, ...unanswered].some((known) => same(known, theirs))) {
      version = details.version;
      acknowledged = theirs;
      return true;
    }
    conflict = {version: details.version, content: details.content};
    keepCopy();
    show('conflict');
    on.conflict(conflict);
    return false;
  }

  /** The person has chosen; `changed` follows when what is here differs from the server. */
  function resolve({keepMine}) {
    version = conflict.version;
    acknowledged = ofServer(conflict.content);
    conflict = null;
    unanswered.length = 0;
    if (keepMine) {
      changed();
    } else {
      savedRevision = revision;
      dropCopy();
      show('saved');
    }
  }

  function retryNow() {
    if (waitingSubmit?.wake) waitingSubmit.wake();
    else if (unsaved() && !saving) save();
  }

  /** When the page goes away: the copy stays, and one last request that outlives the page. */
  function leave() {
    keepCopy();
    if (conflict || saving || closed) return;
    // Time spent reading counts too; a list that was only looked at again is left alone.
    const read = page.list.state === 'in progress' && seconds() - sentSeconds >= 5;
    if (!unsaved() && !read) return;
    send('PUT', page.urls.draft, {
      base_version: version, content: content(), active_seconds: seconds()}, {keepalive: true});
  }

  // Submitting and skipping --------------------------------------------------------------------

  /**
   * POST until there is an answer. The same key every time: however often it arrives, it is one
   * submission. {status: 'ok', body} | {status: 'refused', message} | {status: 'conflict'}
   * | {status: 'cancelled'} by a change | for `once`, also the passing failures.
   */
  async function post(url, fields, {once = false, onWait = () => {}} = {}) {
    clearTimeout(timer);
    if (saving) await saving;
    clearTimeout(timer);
    if (conflict) {
      on.conflict(conflict);
      return {status: 'conflict'};
    }
    const before = unsaved() ? 'saving' : 'saved';
    const submitKey = crypto.randomUUID?.() ?? fallbackUuid();
    let cancelled = false;
    for (let attempt = 1; ; attempt += 1) {
      show('submitting');
      const reply = await send('POST', url, {
        base_version: version, key: submitKey, ...fields()});
      if (reply.status === 'conflict') {
        if (settle(reply.details)) continue;
        return reply;
      }
      if (reply.status === 'ok') {
        savedRevision = revision;
        dropCopy();
        close();
        return reply;
      }
      if (reply.status === 'refused' || once) {
        show(reply.status === 'refused' ? before : reply.status);
        if (unsaved()) schedule(DEBOUNCE);
        return reply;
      }
      failures = attempt;
      keepCopy();
      show(reply.status);
      onWait(reply.status);
      await new Promise((done) => {
        const wait = setTimeout(done, backoff());
        waitingSubmit = {
          wake: () => { clearTimeout(wait); done(); },
          cancel: () => { cancelled = true; clearTimeout(wait); done(); },
        };
      });
      waitingSubmit = null;
      if (cancelled) {
        failures = 0;
        schedule(DEBOUNCE);
        return {status: 'cancelled'};
      }
    }
  }

  function close() {
    keepCopy();
    closed = true;
    clearTimeout(timer);
    clearTimeout(copyTimer);
  }

  return {
    changed, save, restore, resolve, retryNow, leave, close, unsaved,
    conflict: () => conflict,
    state: () => state,
    submit: (answer, onWait) => post(
      page.urls.submit, () => ({answer, active_seconds: seconds()}), {onWait}),
    skip: (reason) => post(page.urls.skip, () => ({reason}), {once: true}),
  };
}

/** `crypto.randomUUID` exists only where the page came over https or from this computer. */
function fallbackUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Send what earlier visits to other lists left behind; conflicts wait until the list is opened. */
export async function sendLeftovers(person, exceptId) {
  let keys = [];
  try {
    keys = Object.keys(localStorage).filter((k) => k.startsWith(`${PREFIX}${person}:`));
  } catch { return; }
  for (const key of keys.filter((k) => k !== keyOf(person, exceptId))) {
    let copy = null;
    try { copy = JSON.parse(localStorage.getItem(key)); } catch { /* unreadable: left alone */ }
    if (!copy?.content || !copy.url?.startsWith('/')) continue;
    const {base_version, content, active_seconds} = copy;
    const reply = await send('PUT', copy.url, {base_version, content, active_seconds});
    const echo = reply.status === 'conflict'
      && canonical(content.answer) === canonical(reply.details.content?.answer ?? EMPTY);
    const unchanged = localStorage.getItem(key) === JSON.stringify(copy);
    if ((reply.status === 'ok' || echo) && unchanged) localStorage.removeItem(key);
    if (['offline', 'server', 'logged-out'].includes(reply.status)) return;
  }
}
