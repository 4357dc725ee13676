// What the page works on. Everything that changes an answer goes through `perform`.

import {annotationOf, normalise} from './annotation.js';
import {act, start} from './history.js';
import {categoryKeys} from './keyboard.js';
import * as view from './view.js';

export const desk = {
  page: null,
  rules: null,
  keys: null, // of the categories
  state: null,
  anchor: null, // where an extended selection began; null: only the cursor
  letters: false, // picking by letter
  busy: false, // a submission is on its way
  changed() {}, // called after the answer has changed

  writable: () => desk.page.study.open && !desk.busy,
  draw: () => view.render(desk.state, desk),

  /** Put a list on the desk, as the server sent it; `lay` its answer there next. */
  open(page) {
    const {stopwords, senses} = page.list;
    const tokens = page.list.tokens.map(
      ([display, gloss, before], i) => ({rank: i + 1, display, gloss, before, senses: senses[i]}));
    page.list.tokens = tokens;
    const {categories, min_tokens, several_patterns_per_token} = page.study;
    const rules = {
      length: tokens.length, categories, min_tokens, several_patterns_per_token,
      stopwords: new Set(stopwords),
    };
    const keys = categoryKeys(categories);
    Object.assign(desk, {page, rules, keys, anchor: null, letters: false});
    view.open(page, rules);
  },

  /** What `toContent` of history.js made, or null for an empty answer. */
  lay(content) {
    desk.state = start(normalise(annotationOf(content), desk.rules), content?.ui, desk.rules);
    view.showComment(desk.state.annotation.comment !== '');
    desk.draw();
  },

  /** Replace the state and draw it; false when it is the same. */
  become(next) {
    const before = desk.state;
    if (next === before) return false;
    desk.state = next;
    desk.draw();
    if (next.annotation !== before.annotation) desk.changed();
    return true;
  },

  perform(action) {
    if (desk.writable()) return desk.become(act(desk.state, action, desk.rules));
    if (!desk.page.study.open) view.announce(view.$('notice').textContent);
    return false;
  },
};
