// What the page works on. Everything that changes an answer goes through `perform`.

import {act} from './history.js';
import {announce, render} from './view.js';
import {CLOSED} from './words.js';

export const desk = {
  page: null,
  rules: null,
  state: null,
  anchor: null, // where an extended selection began; null: only the cursor
  letters: false, // picking by letter
  busy: false, // a submission is on its way
  changed() {}, // called after the answer has changed

  writable: () => desk.page.study.open && !desk.busy,
  draw: () => render(desk.state, desk),

  /** Replace the state and draw it; false when it is the same. */
  become(next) {
    const before = desk.state;
    if (next === before) return false;
    desk.state = next;
    desk.draw();
    if (next.answer !== before.answer) desk.changed();
    return true;
  },

  perform(action) {
    if (desk.writable()) return desk.become(act(desk.state, action, desk.rules));
    if (!desk.page.study.open) announce(CLOSED);
    return false;
  },
};
