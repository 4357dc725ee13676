// A worked example on the annotation page: the same list, keys and patterns, with steps that tick
// themselves off. What is done is kept while the tab is open; comparing posts it once.

import {finished} from './annotation.js';
import {COMMANDS, readyToSubmit} from './commands.js';
import {listen} from './controls.js';
import {desk} from './desk.js';
import {toContent} from './history.js';
import {session} from './storage.js';
import * as view from './view.js';

const page = JSON.parse(view.$('page-data').textContent);
const KEPT = `ffn-concepts:${page.list.id}:${document.body.dataset.person}`;
const steps = [...view.$('steps').children];

/** Whether a step has been done, by its name. */
const DONE = {
  move: ({cursor}) => cursor > 1 || scrollY > 200, // a finger reads by scrolling
  assign: ({annotation}) => annotation.patterns.some((p) => p.ranks.length > 0),
  undo: ({future}) => future.length > 0,
  minimum: ({annotation}) => annotation.patterns.some((p) => p.ranks.length >= desk.rules.min_tokens),
  describe: ({annotation}) => annotation.patterns.some((p) => p.description.trim() !== ''),
  category: ({annotation}) => annotation.patterns.some((p) => p.category !== null),
  second: ({annotation}) => annotation.patterns.filter((p) => p.ranks.length > 0).length > 1,
  compare: () => false,
};

function keep() {
  const done = steps.filter((step) => step.classList.contains('done')).map((step) => step.dataset.step);
  // Where it cannot be kept, a reload begins again.
  session.set(KEPT, JSON.stringify({content: toContent(desk.state), done}));
}

function tick() {
  const before = steps.find((step) => step.ariaCurrent);
  for (const step of steps) if (DONE[step.dataset.step](desk.state)) step.classList.add('done');
  // The last step done and the one after it: who works in another order is not sent back.
  const last = steps.findLastIndex((step) => step.classList.contains('done'));
  const now = steps[last + 1];
  for (const step of steps) step.ariaCurrent = step === now ? 'step' : null;
  if (before && before !== now) now.scrollIntoView({block: 'nearest'});
  keep();
}

function submit() {
  if (!readyToSubmit(submit)) return;
  const form = view.$('compare');
  form.elements.annotation.value = JSON.stringify(finished(desk.state.annotation));
  form.submit();
}

const {title} = document;
desk.open(page);
document.title = title;
const {content, done = []} = session.json(KEPT) ?? {};
for (const step of steps) step.classList.toggle('done', done.includes(step.dataset.step));
desk.lay(content);
desk.changed = () => view.message(null);
tick();
listen({...COMMANDS, submit, skip() {}, back() {}});
for (const type of ['keyup', 'click', 'change', 'input', 'scroll']) addEventListener(type, tick);
view.focusCursor();
document.documentElement.dataset.ready = 'yes';
