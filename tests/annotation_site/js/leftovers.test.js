import {EMPTY} from '/static/annotation/annotation.js';
import {sendLeftovers} from '/static/annotation/leftovers.js';

const PERSON = 'somebody';
const OWN_PAGE = `<body data-person="${PERSON}">`;
const copy = (n, changes) => JSON.stringify({
  base_version: 0, content: {annotation: {...EMPTY, comment: 'mine'}}, active_seconds: 1, url: `/api/lists/${n}/draft`, ...changes});
const error = (code, status, details = {}) => [status, {error: {code, message: 'No.', details}}];

/** Puts copies where the page keeps them and sends them to a server that answers by address. */
async function visit(copies, replies, page = OWN_PAGE) {
  const real = window.fetch;
  const sent = [];
  window.fetch = async (url, {method} = {}) => {
    if (method !== 'PUT') return new Response(page);
    sent.push(url);
    const [status, body] = replies[sent.length - 1] ?? [200, {version: 1}];
    return new Response(JSON.stringify(body), {status});
  };
  localStorage.clear();
  Object.entries(copies).forEach(([key, text]) => localStorage.setItem(key, text));
  try {
    const waiting = await sendLeftovers(['gone', ...Object.keys(copies)], PERSON);
    return {waiting, sent: sent.length, left: Object.keys(localStorage).sort()};
  } finally {
    window.fetch = real;
    localStorage.clear();
  }
}

export async function testUnreadableCopiesAreLeftAloneAndHoldNothingUp(equal) {
  const damaged = {
    a: '{"content"', b: 'null', c: '4', d: copy(1, {url: null}), e: copy(1, {content: null}),
    f: copy(1, {url: 'https://elsewhere.example/'}),
  };
  equal(await visit({...damaged, g: copy(2)}, []),
    {waiting: false, sent: 1, left: Object.keys(damaged)});
}

export async function testWhatIsGoneIsDroppedAndWhatIsRefusedIsKeptButNotCounted(equal) {
  equal(await visit({a: copy(1), b: copy(2)}, [error('not_found', 404), error('not_allowed', 403)]),
    {waiting: false, sent: 2, left: ['b']});
}

export async function testNothingIsDroppedWhenSomebodyElseHasLoggedIn(equal) {
  equal(await visit({a: copy(1)}, [error('not_found', 404)], '<body data-person="other">'),
    {waiting: false, sent: 1, left: ['a']});
}

export async function testWhatCanStillReachTheServerIsWaiting(equal) {
  equal(await visit({a: copy(1), b: copy(2)}, [[502, 'a proxy']]),
    {waiting: true, sent: 1, left: ['a', 'b']});
  const theirs = {version: 3, content: {annotation: {...EMPTY, comment: 'theirs'}}};
  equal(await visit({a: copy(1), b: copy(2)}, [error('draft_conflict', 409, theirs)]),
    {waiting: true, sent: 2, left: ['a']});
}
