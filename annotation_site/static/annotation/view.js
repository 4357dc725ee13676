// Draws the state. Everything that others wrote enters the document as textContent.
//
// `render` touches only what differs from what was drawn, so that a key press costs a row or two.

import {coveredCount, isBlank, patternsOf, stopwordsOf, stopwordsProposed} from './annotation.js';
import {element, exact, sentence} from './elements.js';
import {LETTERS, categoryKeys} from './keyboard.js';
import {likenesses} from './spelling.js';
import * as words from './words.js';

export const $ = (id) => document.getElementById(id);

const shapeOf = (number) => (number ? ((number - 1) % 9) + 1 : ''); // nine colours and shapes

// Its number is spoken with the name of what it stands in.
const chip = (number) => element('span', {class: 'chip', 'aria-hidden': true, 'data-shape': shapeOf(number)}, number);
const fromTemplate = (id) => $(id).content.firstElementChild.cloneNode(true);

/** A token's text; the sign that it continues a word is drawn softly. */
function tokenNode(token) {
  const inside = token.display.startsWith('⋯');
  const text = inside ? token.display.slice(1) : token.display || words.EMPTY_TOKEN;
  return exact('bdi', {class: 'token'}, ...(inside ? [element('span', {class: 'inside'}, '⋯')] : []), text);
}

/** An entry of a list: in its row, what of it is compared and looked up, what explains it, and what
    happens in the rows when it becomes the current one. */
export const entry = {node: tokenNode, word: ({display}) => display, senses: senseNodes, enter() {}};

const list = $('tokens');
const cards = $('patterns');
let page;
let rules;
let rows;
let likeness;
let drawn;
let wordings; // of the rows' tokens, as they were written

export function open(newPage, newRules) {
  if (page) $('notice').hidden = true; // of the list before
  page = newPage;
  rules = newRules;
  const {tokens, position, total, state} = page.list;
  const {study, urls} = page;
  likeness = likenesses(tokens.map(entry.word), study.highlight_spellings);
  rows = tokens.map(buildRow);
  wordings = rows.map(wordingOf);
  drawn = {marks: [], cards: [], low: 0, high: -1};
  list.replaceChildren(...rows);
  list.style.setProperty('--length', rows.length);
  list.style.setProperty('--half', Math.ceil(rows.length / 2));
  list.className = 'tokens';
  list.classList.toggle('no-glosses', tokens.every((t) => !t.gloss));
  list.classList.toggle('several', study.several_patterns_per_token);
  list.parentElement.scrollTop = 0;
  cards.replaceChildren();
  $('picker').replaceChildren();
  $('position').textContent = words.listNow(position, total);
  $('list-progress').max = total;
  $('list-progress').value = position - 1;
  document.title = `${words.listNow(position, total)} · ${study.title}`;
  $('back').hidden = !urls.previous;
  $('back').href = urls.previous ?? '';
  $('skip').hidden = !urls.skip || state === 'submitted';
  $('submit').firstChild.data = $('submit').dataset[state === 'submitted' ? 'again' : 'first'];
  for (const id of ['none', 'comment', 'add', 'submit', 'skip']) $(id).disabled = !study.open;
  message(null);
}

const wordingOf = (row) => row.querySelector('.prefix, .token')?.textContent;

/** Whether another program has changed words of the list, as page translation does; says so. */
export function isRewritten() {
  const rewritten = rows.some((row, i) => wordingOf(row) !== wordings[i]);
  $('rewritten').hidden = !rewritten;
  return rewritten;
}

new MutationObserver((records) => {
  // Marks change with every key press, tokens never.
  if (records.some(({target}) => !(target.parentElement ?? target).closest('.marks'))) isRewritten();
}).observe(list, {subtree: true, childList: true, characterData: true});

function buildRow(token, index) {
  return element('li', {
    // Spoken as it reads from left to right, but for the marks, which come after the token.
    class: 'row', translate: 'no', role: 'option', tabindex: -1, 'aria-selected': false,
    'data-rank': token.rank, 'data-letter': LETTERS[index] ?? '',
  },
  element('span', {class: 'rank'}, token.rank), entry.node(token),
  element('span', {class: 'marks'}), // The tooltip is for a long one, which its row cuts short.
  element('bdi', {class: 'gloss', translate: 'yes', lang: 'en', title: token.gloss}, token.gloss));
}

export function render({annotation, current, cursor, past, future}, {anchor, letters}) {
  if (annotation !== drawn.annotation) {
    rows.forEach((row, i) => renderMarks(row, i, patternsOf(annotation, i + 1)));
    $('covered').textContent = words.covered(coveredCount(annotation), rules.length);
    $('none').checked = annotation.no_pattern;
    setValue($('comment'), annotation.comment);
    if (annotation.comment) showComment(true);
    $('hint').hidden = annotation.patterns.length > 0;
    $('hint').textContent = annotation.no_pattern ? words.noPatternHere() : $('hint').dataset.start ?? words.noPatternYet();
  }
  if (annotation !== drawn.annotation || current !== drawn.current) renderCards(annotation, current);
  // Dimmed, not disabled: focus stays when the last step is undone.
  $('undo').ariaDisabled = !past.length;
  $('redo').ariaDisabled = !future.length;
  renderSelection(cursor, Math.min(anchor ?? cursor, cursor), Math.max(anchor ?? cursor, cursor));
  if (letters !== drawn.letters) {
    list.classList.toggle('letters', letters);
    $('letters-note').hidden = !letters;
  }
  Object.assign(drawn, {annotation, current, cursor, letters});
}

function renderMarks(row, index, numbers) {
  const mark = String(numbers);
  if (drawn.marks[index] === mark) return;
  drawn.marks[index] = mark;
  const spoken = numbers.length ? [element('span', {class: 'visually-hidden'}, words.inPattern(numbers))] : [];
  row.querySelector('.marks').replaceChildren(...spoken, ...numbers.map(chip));
  row.dataset.shape = shapeOf(numbers[0]);
}

function renderSelection(cursor, low, high) {
  rows.forEach((row, i) => {
    const on = i + 1 >= low && i + 1 <= high;
    if (on !== (i + 1 >= drawn.low && i + 1 <= drawn.high)) row.ariaSelected = on;
  });
  Object.assign(drawn, {low, high});
  if (cursor === drawn.cursor) return;
  for (const [rank, on] of [[drawn.cursor, false], [cursor, true]]) {
    rows[rank - 1]?.classList.toggle('cursor', on);
    if (rank) rows[rank - 1].tabIndex = on ? 0 : -1;
  }
  entry.enter(rows, cursor, likeness[cursor - 1]);
  const token = page.list.tokens[cursor - 1];
  $('detail-rank').textContent = token.rank;
  $('detail-token').replaceChildren(tokenNode(token));
  $('detail-note').textContent = words.likeness(likeness[cursor - 1]);
  $('detail-gloss').replaceChildren(...entry.senses(token));
  // Links that a person opens: only the token leaves this computer, and only then.
  const query = encodeURIComponent(entry.word(token).replace(/^⋯/, '').trim());
  for (const link of document.querySelectorAll('[data-url]')) link.href = link.dataset.url + query;
}

/** The senses of a token, each with its part of speech where it is known. */
function senseNodes({senses}) {
  if (!senses.length) return page.study.show_glosses ? [element('li', {}, words.NO_GLOSS)] : [];
  return senses.map(([part, gloss]) => element(
    'li', {}, ...(part ? [element('span', {class: 'part'}, words.partOfSpeech(part)), ' '] : []),
    element('bdi', {lang: 'en', translate: 'yes'}, gloss)));
}

function renderCards({patterns}, current) {
  const picker = $('picker');
  while (cards.children.length > patterns.length) {
    cards.lastElementChild.remove();
    picker.lastElementChild.remove();
  }
  patterns.forEach((pattern, i) => {
    if (!cards.children[i]) {
      cards.append(buildCard(i + 1));
      const opener = cards.lastElementChild.querySelector('.chip-button').cloneNode(true);
      opener.dataset.do = 'sheet';
      opener.ariaExpanded = false;
      picker.append(opener);
    }
    const node = cards.children[i];
    const now = i + 1 === current;
    if (drawn.cards[i] === pattern && node.classList.contains('current') === now) return;
    node.classList.toggle('current', now);
    for (const button of [node.querySelector('.chip-button'), picker.children[i]]) {
      button.ariaPressed = now;
    }
    fillCard(node, pattern);
  });
  drawn.cards = patterns;
  cards.classList.toggle('many', patterns.length > 3);
  if (current !== drawn.current && !NARROW.matches) reveal(current);
}

function buildCard(number) {
  const node = fromTemplate('pattern-template');
  for (const named of node.querySelectorAll('[aria-label]')) named.ariaLabel += ` ${number}`;
  node.querySelector('.chip-button').dataset.number = number;
  node.querySelector('.chip-button').append(chip(number));
  node.dataset.number = number;
  const keyOf = new Map([...categoryKeys(rules.categories)].map(([key, name]) => [name, key]));
  node.querySelector('.segments').append(...rules.categories.map((category) => {
    const segment = fromTemplate('category-template');
    Object.assign(segment.firstElementChild, {name: `category-${number}`, value: category});
    segment.lastElementChild.append(exact('bdi', {}, ...underlined(category, keyOf.get(category))));
    return segment;
  }));
  for (const control of node.querySelectorAll('input, .remove')) control.disabled = !page.study.open;
  return node;
}

function underlined(category, key) {
  const at = key ? category.toLowerCase().indexOf(key) : -1;
  return at < 0 ? [category]
    : [category.slice(0, at), element('u', {}, category[at]), category.slice(at + 1)];
}

function fillCard(node, pattern) {
  const find = (selector) => node.querySelector(selector);
  const count = pattern.ranks.length;
  setValue(find('.describe'), pattern.description);
  for (const input of node.querySelectorAll('[type="radio"]')) input.checked = input.value === pattern.category;
  find('[type="checkbox"]').checked = stopwordsOf(pattern, rules);
  find('.proposed').hidden = pattern.stopwords !== null || !stopwordsProposed(pattern, rules);
  find('.summary').replaceChildren(
    pattern.category ? exact('bdi', {}, pattern.category) : words.NO_CATEGORY);
  const [short, more] = words.countParts(count, rules.min_tokens);
  find('.count').firstChild.data = short;
  find('.count-more').textContent = more;
  find('.count').classList.toggle('few', count > 0 && count < rules.min_tokens);
  if (pattern.category || isBlank(pattern)) node.classList.remove('wants-category');
}

/** One message at a time, near the submit button; `actions` are [label, function or address]. */
export function message(text, tone = 'info', actions = []) {
  $('message').hidden = text === null;
  $('message').className = `notice notice-${tone}`;
  $('message-text').replaceChildren(...sentence(text ?? ''));
  $('message-actions').replaceChildren(...actions.map(([label, action]) => {
    if (typeof action === 'string') {
      return element('a', {class: 'button', href: action, target: '_blank', rel: 'noopener'}, label);
    }
    const button = element('button', {type: 'button', class: 'button'}, label);
    button.addEventListener('click', action);
    return button;
  }));
}

let saveTimer = 0;
let lastSaid = 'saved';

export function saveState(name, keepsCopies = true) {
  const text = words.saveState(name, keepsCopies);
  $('save-state').textContent = text;
  $('save-state').title = text;
  $('save-state').dataset.state = name;
  // Saving and saved alternate all the time; a screen reader hears only what lasts.
  clearTimeout(saveTimer);
  saveTimer = setTimeout(() => {
    if (name !== lastSaid) announce(text);
    lastSaid = name;
  }, 1_500);
}

export function announce(text) {
  $('announcer').replaceChildren(...sentence(text));
}

export function showComment(on) {
  $('comment-box').hidden = !on;
  $('comment-open').hidden = on;
}

export const card = (number) => cards.children[number - 1];
const reveal = (number) => card(number)?.scrollIntoView({block: 'nearest'});

// In a narrow window the cards stand below the list, and each opens as a sheet as well.
const NARROW = matchMedia('(max-width: 759px)');
let sheet;
const fetchSheet = async () => { sheet = await import('./sheet.js'); };
/** At once where it can: a phone shows its keyboard only for a focus that comes with the tap. */
export async function openSheet(number) {
  if (!sheet) await fetchSheet().catch(() => reveal(number));
  sheet?.open(card(number));
}
export const closeSheet = () => document.querySelector(':popover-open')?.hidePopover();
const fit = () => (NARROW.matches ? fetchSheet() : closeSheet());
NARROW.addEventListener('change', fit);
fit();

/** The place for keys: the current token, or the end of a sheet that is open. */
export function focusCursor() {
  const done = document.querySelector(':popover-open .done');
  if (done) {
    done.focus();
    return;
  }
  const row = rows[drawn.cursor - 1];
  row.focus({preventScroll: true});
  row.scrollIntoView({block: 'nearest'});
}

export function wantCategory(number) {
  card(number).classList.add('wants-category');
  if (NARROW.matches) openSheet(number);
  else reveal(number);
}

export function busy(on) {
  document.body.classList.toggle('busy', on);
  $('submit').ariaDisabled = on;
}

function setValue(input, value) {
  if (input.value !== value) input.value = value; // only then: writing moves the caret
}
