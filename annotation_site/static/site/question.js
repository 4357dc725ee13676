// Asks before a form is sent: `data-question`, `data-text` and `data-yes` of the form, or of the
// button that sends it. Without this script the form is sent at once.

import {sentence} from '../annotation/elements.js';

const dialog = document.getElementById('question');
let asking = false; // until the form is on its way: the dialog closes before that

export const isAsking = () => asking;

// Also a page that the browser kept when it was left.
addEventListener('pageshow', () => { asking = false; });

function ask({question, text = '', yes}) {
  dialog.querySelector('#question-title').replaceChildren(...sentence(question));
  dialog.querySelector('#question-text').textContent = text;
  dialog.querySelector('#question-yes').textContent = yes;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener('close', () => done(dialog.returnValue === 'yes'), {once: true});
  });
}

addEventListener('submit', async (event) => {
  const {target: form, submitter} = event;
  const asked = submitter?.dataset.question ? submitter : form;
  if (asking || !asked.dataset.question) return;
  event.preventDefault();
  asking = true;
  if (!await ask(asked.dataset)) {
    asking = false;
    return;
  }
  if (asked === form) form.submit();
  else form.requestSubmit(submitter); // its name and value go along
});
