// Sends what earlier visits to other lists could not save. Conflicts wait until the list is
// opened, where a person can see them.

import {EMPTY, canonical} from './answer.js';
import {PASSING, send} from './sync.js';

export async function sendLeftovers(keys) {
  for (const key of keys) {
    const kept = localStorage.getItem(key);
    const {base_version, content, active_seconds, url} = JSON.parse(kept);
    if (!url.startsWith('/')) continue;
    const reply = await send('PUT', url, {base_version, content, active_seconds});
    if (PASSING.includes(reply.status)) return;
    const echo = reply.status === 'conflict'
      && canonical(content.answer) === canonical(reply.details.content?.answer ?? EMPTY);
    if ((reply.status === 'ok' || echo) && localStorage.getItem(key) === kept) localStorage.removeItem(key);
  }
}
