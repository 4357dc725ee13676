// Every sentence that scripts of this page say, in one place.

import {gettext, ngettext} from './gettext.js';

/** Text of others inside a sentence, kept from turning the sentence's direction around. */
export const quoted = (text) =>
  `\u2068${text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')}\u2069`;

let entry = gettext('token');
let entries = gettext('tokens');
export let counted = (n) => ngettext('{n} token', '{n} tokens', n);
/** What the entries of lists are called instead. */
export const callEntries = (...nouns) => { [entry, entries, counted] = nouns; };
export const entriesOf = (number) => gettext('Pattern {number}, {entries}', {number, entries});
const join = (items, type = 'conjunction') =>
  new Intl.ListFormat(document.documentElement.lang, {type}).format(items.map(String));

const SAVE_STATES = {
  saved: gettext('Saved'),
  saving: gettext('Saving…'),
  submitting: gettext('Submitting…'),
  offline: gettext('Not saved yet: no connection'),
  server: gettext('Not saved yet: the server does not answer'),
  busy: gettext('Not saved yet: too many changes within a minute'),
  'logged-out': gettext('Not saved yet: you are logged out'),
  refused: gettext('Not saved'),
  conflict: gettext('Not saved: changed in another tab or on another device'),
  overtaken: gettext('Changed in another tab or on another device'),
};
/** Some browsers keep nothing for pages in private windows. */
export function saveState(name, keepsCopies) {
  if (['saved', 'saving', 'submitting', 'conflict', 'overtaken'].includes(name)) return SAVE_STATES[name];
  return `${SAVE_STATES[name]}, ${keepsCopies ? gettext('kept on this computer') : gettext('keep this page open')}`;
}

/** The count, and what follows from it; lists with many patterns show only the first. */
export function countParts(n, minimum) {
  if (n === 0) return [gettext('no {entry} yet', {entry}), ''];
  if (n >= minimum) return [counted(n), ''];
  return [gettext('{n} of {minimum}', {n, minimum}), `: ${gettext('will not count')}`];
}
export const covered = (n, length) => gettext('{n} of {length} {entries}', {n, length, entries});
export const NO_CATEGORY = gettext('no category');
export const NO_GLOSS = gettext('No gloss.');
export const partOfSpeech = (part) => ({
  noun: gettext('noun'), verb: gettext('verb'), adjective: gettext('adjective'), adverb: gettext('adverb'),
})[part] ?? part;
export const noPatternYet = () => (matchMedia('(pointer: coarse)').matches
  ? gettext('Tap a {entry} to start pattern 1. The number at the bottom opens its description and category.', {entry})
  : gettext('Click a {entry} to start pattern 1, or go to it with the arrow keys and press 1.', {entry}));
export const noPatternHere = () =>
  gettext('No pattern in this list. To change this, put a {entry} into a pattern.', {entry});
export const EMPTY_TOKEN = gettext('(empty)');

export const listNow = (position, total) => gettext('List {position} of {total}', {position, total});
export const inPattern = (numbers) => gettext('pattern {numbers}', {numbers: join(numbers)});
export const assigned = (what, number, n) =>
  gettext('{what}: pattern {number}, {counted}', {what, number, counted: counted(n)});
export const cleared = (what) => gettext('{what}: in no pattern', {what});
const named = (number, ...more) => [gettext('Pattern {number}', {number}), ...more].filter(Boolean).join(', ');
export const patternNow = ({number, description, ranks}) =>
  named(number, description && quoted(description), counted(ranks.length));
export const categoryNow = (number, category) => named(number, quoted(category));
export const stopwordsNow = (number, on) =>
  named(number, on ? gettext('stopwords or punctuation') : gettext('not stopwords or punctuation'));
export function travelled(done, forward) {
  if (forward) return done ? gettext('Redone') : gettext('Nothing to redo');
  return done ? gettext('Undone') : gettext('Nothing to undo');
}
export const UNDO = gettext('Undo');
export const TRY_AGAIN = gettext('Try again');
export const LOG_IN = gettext('Log in in a new tab');
export const SUBMIT_ANYWAY = gettext('Submit anyway');
export const COMPARE = gettext('Compare and choose');
export const RESTORED = gettext('Your unsaved changes were restored from this computer.');
export const removedForNone = (n) => ngettext('{n} pattern removed.', '{n} patterns removed.', n);

/** `keys`: of the categories, a Map from key to category. */
export const problem = ({kind, number}, keys) => ({
  nothing: gettext('Mark at least one pattern, or check “No pattern in this list” (x).'),
  'no-token': gettext('Pattern {number} has no {entry}. Add a {entry}, or remove the pattern with × (r).', {number, entry}),
  'no-category': gettext('Pattern {number} needs a category. Choose {categories}.', {
    number, categories: join([...keys].map(([key, category]) => `${quoted(category)} (${key})`), 'disjunction'),
  }),
})[kind];
export const tooSmall = (few, minimum) => [
  ...few.map(({number, ranks}) => gettext('Pattern {number} has {counted} and needs {minimum} to count.', {
    number, minimum, counted: counted(ranks.length),
  })),
  gettext('Patterns with too few {entries} are kept but do not count. Submit again to continue.', {entries}),
].join(' ');

export const SUBMIT_WAITS = gettext('Not submitted yet. This page tries again by itself, unless you change something.');
export const SUBMIT_STOPPED = gettext('Your change stopped the submission. Submit again when ready.');
export const NOT_SKIPPED = gettext('Not skipped: the server does not answer. Try again later.');
export const NO_DIALOG = gettext('This cannot be shown: the server does not answer. Try again later.');
export const LOGGED_OUT = gettext('You were logged out. Your work is kept on this computer.');
export const refused = (message) => `${message} ${gettext('Your work is kept on this computer.')}`;

/** What an entry has in common with others. */
export const likeness = ({inside, same, variants, alike}) => [
  inside && gettext('begins inside a word'),
  same.length && gettext('looks the same as {ranks}', {ranks: join(same)}),
  variants.length && gettext('same letters as {ranks}', {ranks: join(variants)}),
  alike.length && gettext('spelled like {ranks}', {ranks: join(alike)}),
].filter(Boolean).join(' · ');
