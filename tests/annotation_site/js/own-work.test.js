import {COPIES} from '/static/annotation/sync.js';

export async function testADamagedCopyDoesNotKeepAnybodyLoggedIn(equal) {
  document.body.insertAdjacentHTML('beforeend', '<div class="who"><form></form></div>');
  const form = document.querySelector('.who form');
  const sent = new Promise((done) => {
    form.submit = () => done('sent');
    setTimeout(done, 2_000, 'not sent');
  });
  localStorage.setItem(`${COPIES}${document.body.dataset.person}:1`, 'null');
  await import('/static/site/own-work.js');
  form.requestSubmit();
  equal(await sent, 'sent');
}
