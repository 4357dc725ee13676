import {COPIES} from '/static/annotation/sync.js';

export async function testADamagedCopyDoesNotKeepAnybodyLoggedIn(equal) {
  document.body.insertAdjacentHTML('beforeend', '<div class="who"><form></form></div>');
  const form = document.querySelector('.who form');
  localStorage.setItem(`${COPIES}${document.body.dataset.person}:1`, 'null');
  await import('/static/site/own-work.js');
  const sent = new Promise((done) => {
    form.submit = () => done('sent');
    setTimeout(done, 2_000, 'not sent'); // nothing is asked of the server, so this is long
  });
  form.requestSubmit();
  equal(await sent, 'sent');
}
