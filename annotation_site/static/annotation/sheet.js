// A pattern's card as a sheet at the bottom of a narrow window, within reach of a thumb. Fetched only
// in such a window.
//
// The browser's popover closes it by Escape, the back gesture and a tap beside it, and gives the
// focus back. Imports nothing: view.js, which fetches it, cannot be imported in a circle.

const ENOUGH = 64; // pixels that a finger moves down to close it
const cards = document.getElementById('patterns');
const sheet = () => cards.querySelector(':popover-open');
document.getElementById('narrow').disabled = false;

export function open(card) {
  card.popover = 'auto';
  card.showPopover();
  place();
  const description = card.querySelector('.describe');
  // Only for a description that is missing: with the focus comes the phone's keyboard.
  (description.value ? card.querySelector('.done') : description).focus();
}

/** Above the phone's keyboard, which covers what is fixed to the bottom. */
function place() {
  const shown = sheet();
  if (!shown) return;
  const {offsetTop, height} = visualViewport;
  const lifted = Number.parseFloat(shown.style.bottom) || 0;
  const covered = shown.getBoundingClientRect().bottom - offsetTop - height;
  shown.style.bottom = `${Math.max(0, lifted + covered)}px`;
}
for (const type of ['resize', 'scroll']) visualViewport.addEventListener(type, place);

cards.addEventListener('toggle', ({target, newState}) => {
  const opener = document.querySelector(`#picker [data-number="${target.dataset.number}"]`);
  if (opener) opener.ariaExpanded = newState === 'open';
  if (newState === 'open') return;
  target.popover = null; // a card among the others again
  target.removeAttribute('style');
}, true);

let from = null; // where a finger went down

cards.addEventListener('pointerdown', ({target, pointerType, clientY}) => {
  const swipes = sheet()?.contains(target) && pointerType === 'touch' && !target.matches('.describe');
  from = swipes ? clientY : null;
});
cards.addEventListener('pointermove', ({clientY}) => {
  if (from !== null && sheet()) sheet().style.translate = `0 ${Math.max(0, clientY - from)}px`;
});
for (const type of ['pointerup', 'pointercancel']) {
  cards.addEventListener(type, ({clientY}) => {
    if (from === null || !sheet()) return;
    sheet().style.translate = '';
    if (type === 'pointerup' && clientY - from >= ENOUGH) sheet().hidePopover();
    from = null;
  });
}
