// The page of a study that is under way: it renews itself while somebody looks at it, and asks
// before lists are given to other people.

import {isAsking} from '../site/question.js';

const progress = () => document.getElementById('progress');

// A page in a hidden tab asks for nothing; a question that is open is not drawn over.
addEventListener('htmx:beforeRequest', (event) => {
  if (document.hidden || isAsking()) event.preventDefault();
});
// Nor by news that were asked for before: they would take away the form that the question is about.
addEventListener('htmx:beforeSwap', (event) => {
  if (isAsking() && event.target === progress()) event.preventDefault();
});
addEventListener('visibilitychange', () => {
  if (!document.hidden) progress().dispatchEvent(new Event('look'));
});
