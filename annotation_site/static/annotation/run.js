// The page of a study that is under way: it renews itself while somebody looks at it, and asks
// before lists are given to other people.

import {sentence} from './elements.js';

const dialog = document.getElementById('question');
const progress = () => document.getElementById('progress');
let asking = false; // until the form is on its way: the dialog closes before that

// A page in a hidden tab asks for nothing; a question that is open is not drawn over.
addEventListener('htmx:beforeRequest', (event) => {
  if (document.hidden || asking) event.preventDefault();
});
// Nor by news that were asked for before: they would take away the form that the question is about.
addEventListener('htmx:beforeSwap', (event) => {
  if (asking && event.target === progress()) event.preventDefault();
});
// Also one that the browser kept when it was left.
addEventListener('pageshow', () => { asking = false; });
addEventListener('visibilitychange', () => {
  if (!document.hidden) progress().dispatchEvent(new Event('look'));
});

function ask({question, text, yes}) {
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
  const form = event.target;
  if (!form.dataset.question) return;
  event.preventDefault();
  asking = true;
  if (await ask(form.dataset)) form.submit();
  else asking = false;
});
