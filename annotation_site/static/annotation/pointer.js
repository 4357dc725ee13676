// The mouse on the list of tokens: click, drag, shift-click. Fingers scroll; a tap is a click.

/**
 * on.toggle(rank), on.range(from, to): both ends included,
 * on.dragStart(rank), on.drag(from, to), on.dragEnd().
 */
export function watchPointer(list, on) {
  let start = null; // the rank where the button went down
  let dragging = false;
  let handled = false; // a drag ends with a click event that means nothing

  const rankAt = (target) => Number(target.closest?.('.row')?.dataset.rank) || null;

  list.addEventListener('pointerdown', (event) => {
    handled = false;
    if (event.pointerType !== 'mouse' || event.button !== 0 || event.shiftKey) return;
    start = rankAt(event.target);
  });

  // Rows are found from the coordinates: a quick hand jumps over several between two events.
  addEventListener('pointermove', (event) => {
    if (start === null) return;
    if (event.buttons === 0) {
      end();
      return;
    }
    const target = document.elementFromPoint(event.clientX, event.clientY);
    const rank = target && list.contains(target) ? rankAt(target) : null;
    if (rank === null || (!dragging && rank === start)) return;
    if (!dragging) {
      dragging = true;
      on.dragStart(start);
    }
    on.drag(start, rank);
  });

  function end() {
    if (dragging) {
      handled = true;
      on.dragEnd();
    }
    start = null;
    dragging = false;
  }
  addEventListener('pointerup', end);
  addEventListener('pointercancel', end);

  list.addEventListener('click', (event) => {
    const rank = rankAt(event.target);
    if (rank === null || handled) {
      handled = false;
      return;
    }
    if (event.shiftKey) on.range(rank);
    else on.toggle(rank);
  });
}
