// Sends what earlier visits to other lists could not save. Conflicts wait until the list is
// opened, where a person can see them.

import {EMPTY, annotationOf, canonical} from './annotation.js';
import {local} from './storage.js';
import {PASSING, send} from './sync.js';

/** True when some of it can reach the server later; what a study refuses is kept, not counted. */
export async function sendLeftovers(keys, person) {
  let waiting = false;
  for (const key of keys) {
    const kept = local.get(key);
    const copy = readable(kept);
    if (!copy) continue;
    const {base_version, content, active_seconds, url} = copy;
    const reply = await send('PUT', url, {base_version, content, active_seconds});
    if (PASSING.includes(reply.status)) return true;
    const conflict = reply.status === 'conflict';
    const echo = conflict
      && canonical(annotationOf(content)) === canonical(annotationOf(reply.details.content) ?? EMPTY);
    const gone = reply.code === 'not_found' && await isLoggedIn(person);
    const done = reply.status === 'ok' || echo || gone;
    if (done && local.get(key) === kept) local.remove(key);
    waiting ||= conflict && !echo;
  }
  return waiting;
}

/** The copy, or null: another tab may have dropped it, and anything can be damaged. */
function readable(kept) {
  try {
    const copy = JSON.parse(kept);
    canonical(annotationOf(copy.content));
    return copy.url.startsWith('/') ? copy : null;
  } catch {
    return null;
  }
}

/** A list is not found either when somebody else has logged in by another tab meanwhile. */
async function isLoggedIn(person) {
  try {
    return (await (await fetch(document.body.dataset.homeUrl)).text()).includes(`data-person="${person}"`);
  } catch {
    return false;
  }
}
