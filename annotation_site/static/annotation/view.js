// Draws the state. Everything that others wrote enters the document as textContent.
//
// `createView(document)` finds the page's fixed parts once; `open(page, rules)` builds the rows of
// a list; `render(state)` compares with what was drawn before and touches only what differs.

import {coveredCount, isBlank, patternsOf, stopwordsOf, stopwordsProposed} from './answer.js';
import {LETTERS, categoryKeys} from './keyboard.js';
import * as words from './words.js';

const SHAPES = 9; // colours and shapes; beyond, they begin again and the number tells

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function chip(number) {
  return element('span', {class: 'chip', 'data-shape': ((number - 1) % SHAPES) + 1}, String(number));
}

/** A token's text: what it continues is drawn softly, so that ⋯ing is seen as a piece. */
function tokenNode(token, className) {
  const node = element('bdi', {class: className});
  if (token.display.startsWith('⋯')) {
    node.append(element('span', {class: 'inside'}, '⋯'), token.display.slice(1));
  } else {
    node.append(token.display || '(empty)');
  }
  return node;
}

const searchText = (token) => token.display.replace(/^⋯/, '').trim() || token.text.trim();

export function createView(root) {
  const $ = (id) => root.getElementById(id);
  const parts = {
    list: $('tokens'), cards: $('patterns'), save: $('save-state'), covered: $('covered'),
    position: $('position'), progress: $('list-progress'), none: $('none'), notice: $('notice'),
    hint: $('hint'), announcer: $('announcer'), message: $('message'),
    messageText: $('message-text'), messageActions: $('message-actions'),
    comment: $('comment'), commentBox: $('comment-box'), commentOpen: $('comment-open'),
    undo: $('undo'), redo: $('redo'), back: $('back'), submit: $('submit'), skip: $('skip-open'),
    picker: $('picker'), detail: $('detail'), detailRank: $('detail-rank'),
    detailToken: $('detail-token'), detailNote: $('detail-note'), detailGloss: $('detail-gloss'),
    search: $('search'), wikipedia: $('wikipedia'), add: $('add'), letters: $('letters-note'),
  };
  let page = null;
  let rules = null;
  let rows = [];
  let keyOfCategory = new Map();
  let notes = [];
  let drawn = {};

  // A list -----------------------------------------------------------------------------------

  function open(newPage, newRules) {
    page = newPage;
    rules = newRules;
    drawn = {marks: [], cards: []};
    keyOfCategory = new Map([...categoryKeys(page.study.categories)].map(([k, c]) => [c, k]));
    notes = lookalikes(page.list.tokens);
    rows = page.list.tokens.map(buildRow);
    parts.list.replaceChildren(...rows);
    parts.list.style.setProperty('--half', Math.ceil(rows.length / 2));
    parts.list.style.setProperty('--length', rows.length);
    parts.list.classList.toggle('no-glosses', page.list.tokens.every((t) => !t.gloss));
    parts.list.classList.toggle('several', page.study.several_patterns_per_token);
    parts.cards.replaceChildren();
    parts.picker.replaceChildren();
    const {position, total} = page.list;
    parts.position.textContent = words.listNow(position, total);
    parts.progress.max = total;
    parts.progress.value = position - 1;
    document.title = `${words.listNow(position, total)} · ${page.study.title}`;
    parts.back.hidden = page.urls.previous === null;
    if (page.urls.previous) parts.back.href = page.urls.previous;
    parts.skip.hidden = page.list.state === 'submitted';
    const again = page.list.state === 'submitted';
    parts.submit.firstChild.data = again ? parts.submit.dataset.again : parts.submit.dataset.first;
    const notice = page.study.open
      ? words.stateNotice(page.list.state, page.list.submitted_version) : words.CLOSED;
    parts.notice.textContent = notice;
    parts.notice.hidden = notice === '';
    parts.list.parentElement.scrollTop = 0;
    setDisabled(!page.study.open);
    message(null);
  }

  function setDisabled(on) {
    for (const control of [parts.none, parts.comment, parts.add, parts.submit, parts.skip]) {
      control.disabled = on;
    }
  }

  function buildRow(token, index) {
    return element('li', {
      class: 'row', role: 'option', id: `token-${token.rank}`, tabindex: -1,
      'data-rank': token.rank, 'data-letter': LETTERS[index] ?? '',
    },
    element('span', {class: 'rank'}, String(token.rank)),
    element('span', {class: 'marks'}),
    tokenNode(token, 'token'),
    element('bdi', {class: 'gloss'}, token.gloss));
  }

  /** Equal strings and case variants, told apart by rank. */
  function lookalikes(tokens) {
    return tokens.map((t) => {
      const others = tokens.filter((o) => o.rank !== t.rank);
      const equal = others.filter((o) => o.display === t.display);
      const folded = t.display.toLowerCase();
      const variants = others.filter(
        (o) => o.display !== t.display && o.display.toLowerCase() === folded);
      return [
        t.display.startsWith('⋯') && words.INSIDE_WORD,
        equal.length > 0 && words.sameText(equal.map((o) => o.rank)),
        variants.length > 0 && words.sameLetters(variants.map((o) => o.rank)),
      ].filter(Boolean).join(' · ');
    });
  }

  // The state --------------------------------------------------------------------------------

  function render(state, {selection, letters}) {
    const {answer, current, cursor} = state;
    if (answer !== drawn.answer) {
      page.list.tokens.forEach((token, i) => renderMarks(rows[i], token, patternsOf(answer, token.rank), i));
      parts.covered.textContent = words.covered(coveredCount(answer), rules.length);
      setChecked(parts.none, answer.no_pattern);
      setValue(parts.comment, answer.comment);
      if (answer.comment) showComment(true);
    }
    if (answer !== drawn.answer || current !== drawn.current) {
      renderCards(answer, current);
      renderPicker(answer, current);
      const shape = current ? ((current - 1) % SHAPES) + 1 : 0;
      parts.list.dataset.current = shape;
      const empty = answer.patterns.length === 0;
      parts.hint.hidden = !empty;
      if (empty) parts.hint.textContent = answer.no_pattern ? words.NO_PATTERN_HERE : words.NO_PATTERN_YET;
    }
    if (state.past.length !== drawn.past) setDimmed(parts.undo, state.past.length === 0);
    if (state.future.length !== drawn.future) setDimmed(parts.redo, state.future.length === 0);
    renderSelection(cursor, selection);
    if (letters !== drawn.letters) {
      parts.list.classList.toggle('letters', letters);
      parts.letters.hidden = !letters;
    }
    Object.assign(drawn, {
      answer, current, letters, past: state.past.length, future: state.future.length});
  }

  function renderMarks(row, token, numbers, index) {
    const mark = numbers.join(' ');
    if (drawn.marks[index] === mark) return;
    drawn.marks[index] = mark;
    row.children[1].replaceChildren(...numbers.map(chip));
    row.dataset.shape = numbers.length ? ((numbers[0] - 1) % SHAPES) + 1 : '';
    const place = numbers.length ? `, pattern ${numbers.join(' and ')}` : '';
    row.setAttribute('aria-label',
      `${token.rank}. ${token.display || '(empty)'}${place}${token.gloss ? `. ${token.gloss}` : ''}`);
  }

  function renderSelection(cursor, selection) {
    const [low, high] = selection ?? [cursor, cursor];
    if (cursor === drawn.cursor && low === drawn.low && high === drawn.high) return;
    rows.forEach((row, i) => {
      const on = i + 1 >= low && i + 1 <= high;
      const was = drawn.low !== undefined && i + 1 >= drawn.low && i + 1 <= drawn.high;
      if (on !== was || drawn.low === undefined) row.setAttribute('aria-selected', on);
    });
    const row = rows[cursor - 1];
    if (cursor !== drawn.cursor) {
      const old = rows[(drawn.cursor ?? cursor) - 1];
      old.classList.remove('cursor');
      old.tabIndex = -1;
      row.classList.add('cursor');
      row.tabIndex = 0;
      renderDetail(page.list.tokens[cursor - 1], notes[cursor - 1]);
    }
    Object.assign(drawn, {cursor, low, high});
  }

  function renderDetail(token, note) {
    parts.detailRank.textContent = token.rank;
    parts.detailToken.replaceChildren(tokenNode(token, ''));
    parts.detailNote.textContent = note;
    parts.detailGloss.textContent = token.gloss || (page.study.show_glosses ? 'No description.' : '');
    parts.detailGloss.classList.toggle('soft', !token.gloss);
    // Links that a person opens: only the token leaves this computer, and only then.
    const query = encodeURIComponent(searchText(token));
    parts.search.href = `https://duckduckgo.com/?q=${query}`;
    parts.wikipedia.href = `https://en.wikipedia.org/w/index.php?search=${query}`;
  }

  // Patterns ---------------------------------------------------------------------------------

  function renderCards(answer, current) {
    const cards = parts.cards;
    while (cards.children.length > answer.patterns.length) cards.lastElementChild.remove();
    answer.patterns.forEach((pattern, i) => {
      const card = cards.children[i] ?? cards.appendChild(buildCard(pattern.number));
      const now = pattern.number === current;
      if (drawn.cards[i] === pattern && card.classList.contains('current') === now) return;
      fillCard(card, pattern, now);
    });
    drawn.cards = answer.patterns;
    cards.classList.toggle('many', answer.patterns.length > 3);
    if (current !== drawn.current) cards.children[current - 1]?.scrollIntoView({block: 'nearest'});
  }

  function buildCard(number) {
    const radio = (category) => {
      const key = keyOfCategory.get(category);
      return element('label', {class: 'segment'},
        element('input', {
          type: 'radio', name: `category-${number}`, value: category, 'data-do': 'category',
          disabled: !page.study.open, 'aria-keyshortcuts': key ?? false,
        }),
        element('span', {}, ...withKey(category, key)));
    };
    return element('li', {class: 'pattern', 'data-number': number},
      element('div', {class: 'pattern-top'},
        element('button', {type: 'button', class: 'chip-button', 'data-do': 'choose', 'aria-label': `Choose pattern ${number}`}, chip(number)),
        element('input', {
          type: 'text', class: 'describe', 'data-do': 'describe', maxlength: 500, autocomplete: 'off',
          'aria-label': `Description of pattern ${number}`, placeholder: 'Describe it in a few words',
          dir: 'auto', disabled: !page.study.open,
        }),
        element('button', {
          type: 'button', class: 'remove', 'data-do': 'remove', title: 'Remove (r)',
          'aria-label': `Remove pattern ${number}`, disabled: !page.study.open,
        }, '×')),
      element('div', {class: 'segments', role: 'radiogroup', 'aria-label': `Category of pattern ${number}`},
        ...page.study.categories.map(radio)),
      element('div', {class: 'pattern-foot'},
        element('label', {class: 'flag'},
          element('input', {type: 'checkbox', 'data-do': 'stopwords', disabled: !page.study.open, 'aria-keyshortcuts': 'p'}),
          element('span', {}, 'stopwords, punctuation'),
          element('span', {class: 'proposed', hidden: true}, 'proposed')),
        element('span', {class: 'summary'}),
        element('span', {class: 'count'})));
  }

  /** The category's name with its key underlined. */
  function withKey(category, key) {
    const at = key ? category.toLowerCase().indexOf(key) : -1;
    if (at < 0) return [category];
    return [category.slice(0, at), element('u', {}, category[at]), category.slice(at + 1)];
  }

  function fillCard(card, pattern, now) {
    card.classList.toggle('current', now);
    card.querySelector('.chip-button').setAttribute('aria-pressed', now);
    setValue(card.querySelector('.describe'), pattern.description);
    for (const input of card.querySelectorAll('[data-do="category"]')) {
      setChecked(input, input.value === pattern.category);
    }
    setChecked(card.querySelector('[data-do="stopwords"]'), stopwordsOf(pattern, rules));
    card.querySelector('.proposed').hidden =
      pattern.stopwords !== null || !stopwordsProposed(pattern, rules);
    card.querySelector('.summary').textContent = pattern.category ?? 'no category';
    const count = card.querySelector('.count');
    const few = pattern.ranks.length < rules.min_tokens;
    const [short, more] = words.countParts(pattern.ranks.length, rules.min_tokens);
    count.replaceChildren(short, element('span', {class: 'count-more'}, more));
    count.classList.toggle('few', few && pattern.ranks.length > 0);
    count.classList.toggle('none', pattern.ranks.length === 0);
    if (pattern.category !== null || isBlank(pattern)) card.classList.remove('wants-category');
  }

  function renderPicker(answer, current) {
    const {picker} = parts;
    while (picker.children.length > answer.patterns.length) picker.lastElementChild.remove();
    for (let n = picker.children.length + 1; n <= answer.patterns.length; n += 1) {
      picker.append(element('button', {
        type: 'button', class: 'chip-button', 'data-do': 'choose', 'data-number': n, 'aria-label': `Choose pattern ${n}`}, chip(n)));
    }
    [...picker.children].forEach((button, i) => button.setAttribute('aria-pressed', i + 1 === current));
  }

  // Messages ---------------------------------------------------------------------------------

  /** One message at a time, near the submit button; `actions` are [label, function]. */
  function message(text, {tone = 'info', actions = []} = {}) {
    parts.message.hidden = text === null;
    parts.message.className = `notice notice-${tone}`;
    parts.messageText.textContent = text ?? '';
    parts.messageActions.replaceChildren(...actions.map(([label, action]) => {
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

  function saveState(name, keepsCopies) {
    const kept = keepsCopies || !words.SAVE_STATES[name].includes('kept');
    const text = kept ? words.SAVE_STATES[name] : words.SAVE_STATE_NOT_KEPT;
    if (parts.save.textContent !== text) parts.save.textContent = text;
    parts.save.dataset.state = name;
    parts.save.title = text;
    // Saving and saved alternate all the time; a screen reader hears only what lasts.
    clearTimeout(saveTimer);
    saveTimer = setTimeout(() => {
      if (name !== lastSaid) announce(text);
      lastSaid = name;
    }, 1_500);
  }

  function announce(text) {
    parts.announcer.textContent = text;
  }

  function showComment(on) {
    parts.commentBox.hidden = !on;
    parts.commentOpen.hidden = on;
  }

  function focusCursor() {
    const row = rows[drawn.cursor - 1];
    row.focus({preventScroll: true});
    row.scrollIntoView({block: 'nearest'});
  }

  function wantCategory(number) {
    const card = parts.cards.children[number - 1];
    card.classList.add('wants-category');
    card.scrollIntoView({block: 'nearest'});
  }

  return {
    parts, open, render, message, saveState, announce, showComment, focusCursor, wantCategory,
    card: (number) => parts.cards.children[number - 1],
    busy: (on) => {
      document.body.classList.toggle('busy', on);
      parts.submit.setAttribute('aria-disabled', on);
    },
  };
}

function setChecked(input, on) {
  if (input.checked !== on) input.checked = on;
}

function setValue(input, value) {
  if (input.value !== value) input.value = value; // only then: writing moves the caret
}

/** Dimmed but still in reach, so that focus is not lost when the last step is undone. */
function setDimmed(button, on) {
  button.setAttribute('aria-disabled', on);
}
