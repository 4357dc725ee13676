// On every page but the annotation page: sends what lists could not save, before a person logs out
// too.

import {sendLeftovers} from '../annotation/leftovers.js';
import {local} from '../annotation/storage.js';
import {COPIES} from '../annotation/sync.js';

const PATIENCE = 3_000; // milliseconds that logging out waits for the server
const {person} = document.body.dataset;

const kept = () => local.keys(`${COPIES}${person}:`);

async function sendKept() {
  const waiting = await sendLeftovers(kept(), person);
  const notice = document.getElementById('unsent');
  if (notice) notice.hidden = !waiting;
}

document.querySelector('.who form')?.addEventListener('submit', async (event) => {
  if (!kept().length) return;
  event.preventDefault();
  // What the server takes leaves this computer; the rest stays for this person's next visit.
  try {
    await Promise.race([sendKept(), new Promise((done) => { setTimeout(done, PATIENCE); })]);
  } finally {
    event.target.submit();
  }
});
addEventListener('online', sendKept);
sendKept();
