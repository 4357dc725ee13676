// The page of one list: j and k, or the arrows, open its neighbours; both boxes stay as they are
// from list to list, in this tab.

import {isComposing, isModified} from '../annotation/keyboard.js';

const neighbour = {j: 'next', ArrowRight: 'next', k: 'prev', ArrowLeft: 'prev'};

addEventListener('keydown', (event) => {
  if (isModified(event) || event.shiftKey || isComposing(event)) return;
  if (event.target.closest('input:not([type="checkbox"]), select, textarea')) return;
  // A table that is wider than the screen scrolls by the arrows.
  const scrolls = event.target.closest('.table-scroll');
  if (event.key.startsWith('Arrow') && scrolls && scrolls.scrollWidth > scrolls.clientWidth) return;
  const rel = neighbour[event.key];
  const link = rel && document.querySelector(`.go a[rel="${rel}"]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});

for (const id of ['only-differences', 'glosses']) {
  const box = document.getElementById(id);
  if (!box) continue;
  const kept = sessionStorage.getItem(`list:${id}`);
  if (kept !== null) box.checked = kept === 'true';
  box.addEventListener('change', () => sessionStorage.setItem(`list:${id}`, box.checked));
}
