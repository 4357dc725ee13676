// Active seconds: the page is visible and there was a sign of life within the last minute.

const IDLE_AFTER = 60_000;
const TICK = 1_000;

export function createActivity(now = () => performance.now()) {
  let seconds = 0;
  let lastSign = now();
  let lastTick = now();

  const tick = () => {
    const time = now();
    // A computer that slept or a timer that was held back never counts more than two ticks.
    const passed = Math.min(time - lastTick, 2 * TICK);
    lastTick = time;
    if (!document.hidden && time - lastSign < IDLE_AFTER) seconds += passed / 1000;
  };
  const sign = () => { lastSign = now(); };
  for (const type of ['keydown', 'pointerdown', 'pointermove', 'wheel', 'touchstart', 'scroll']) {
    addEventListener(type, sign, {passive: true, capture: true});
  }
  setInterval(tick, TICK);

  return {
    /** Begin a list with the seconds that earlier visits took. */
    reset(from) { tick(); seconds = from; sign(); },
    seconds() { tick(); return Math.floor(seconds); },
  };
}
