// Every sentence that scripts of this page say, in one place.

/** Text of others inside a sentence, kept from turning the sentence's direction around. */
export const quoted = (text) =>
  `\u2068${text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')}\u2069`;

export const tokens = (n) => (n === 1 ? '1 token' : `${n} tokens`);
const join = (items, word) =>
  (items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} ${word} ${items.at(-1)}`);

const SAVE_STATES = {
  saved: 'Saved',
  saving: 'Saving…',
  submitting: 'Submitting…',
  offline: 'Not saved yet: no connection, kept on this computer',
  server: 'Not saved yet: the server does not answer, kept on this computer',
  'logged-out': 'Not saved yet: you are logged out, kept on this computer',
  refused: 'Not saved, kept on this computer',
  conflict: 'Not saved: changed in another tab or on another device',
};
/** Some browsers keep nothing for pages in private windows. */
export const saveState = (name, keepsCopies) =>
  (keepsCopies ? SAVE_STATES[name] : SAVE_STATES[name].replace('kept on this computer', 'keep this page open'));

/** The count, and what follows from it; lists with many patterns show only the first. */
export function countParts(n, minimum) {
  if (n === 0) return ['no token yet', ''];
  return n < minimum ? [`${n} of ${minimum}`, ': will not count'] : [tokens(n), ''];
}
export const covered = (n, length) => `${n} of ${length} tokens`;
export const NO_CATEGORY = 'no category';
export const NO_GLOSS = 'No description.';
export const NO_PATTERN_YET = 'Click a token to begin pattern 1, or go to it with the arrow keys and press 1.';
export const NO_PATTERN_HERE = 'No pattern in this list. Putting a token into a pattern takes this back.';

export const listNow = (position, total) => `List ${position} of ${total}`;
export const rowName = ({rank, display, gloss}, numbers) =>
  `${rank}. ${display || 'empty'}${numbers.length ? `, pattern ${join(numbers, 'and')}` : ''}${gloss && `. ${gloss}`}`;
export const assigned = (what, number, n) => `${what}: pattern ${number}, ${tokens(n)}`;
export const cleared = (what) => `${what}: taken out`;
export const patternNow = ({number, description, ranks}) =>
  `Pattern ${number}, ${description ? `${quoted(description)}, ` : ''}${tokens(ranks.length)}`;
export const categoryNow = (number, category) => `Pattern ${number}: ${quoted(category)}`;
export const stopwordsNow = (number, on) =>
  `Pattern ${number}: ${on ? '' : 'not '}stopwords or punctuation`;
export const travelled = (done, forward) =>
  (done ? ['Undone', 'Done again'] : ['Nothing to undo', 'Nothing to redo'])[Number(forward)];
export const LETTERS_ON = 'Pick by letter. Esc to leave.';

export const UNDO = 'Undo';
export const TRY_AGAIN = 'Try again';
export const LOG_IN = 'Log in in a new tab';
export const SUBMIT_ANYWAY = 'Submit anyway';
export const COMPARE = 'Compare and choose';
export const RESTORED = 'Changes that had not been saved were found on this computer and restored.';
export const removedForNone = (n) => `${n === 1 ? '1 pattern' : `${n} patterns`} removed.`;

export const problem = ({kind, number}, keys) => ({
  nothing: 'Mark at least one pattern, or say that there is none in this list (x).',
  'no-token': `Pattern ${number} has no token. Give it some, or remove it (r).`,
  'no-category': `Pattern ${number} needs a category: press ${join(keys, 'or')}.`,
})[kind];
export const tooSmall = (few, minimum) =>
  `${join(few.map((p) => `Pattern ${p.number} has ${p.ranks.length} of ${minimum} tokens`), 'and')}. `
  + `${few.length === 1 ? 'It' : 'They'} will be kept but will not count. Submit again to go on.`;

export const SUBMIT_WAITS = 'Not submitted yet: no answer from the server. It is tried again until '
  + 'it works; changing anything stops that.';
export const SUBMIT_STOPPED = 'Submitting was stopped by your change. Submit again when ready.';
export const NOT_SKIPPED = 'Not skipped: no answer from the server. Try again later.';
export const LOGGED_OUT = 'You were logged out. Your work is kept on this computer.';
export const refused = (message) => `${message} Your work is kept on this computer.`;
export const CLOSED = 'This study is not open now: you can look at your work but not change it.';
export const stateNotice = (state, version) => ({
  submitted: `You submitted this list${version > 1 ? ` (version ${version} counts)` : ''}. `
    + 'A change counts once you submit again.',
  skipped: 'You skipped this list. You can still answer it.',
  expired: 'The time for this list has run out. You can still submit it.',
})[state] ?? '';

/** For each token what tells it from others: a piece of a word, equal strings, case variants. */
export function lookalikes(all) {
  const fold = (t) => t.display.toLowerCase();
  return all.map((t) => {
    const ranks = (alike) => all.filter((o) => o !== t && alike(o)).map((o) => o.rank);
    const same = ranks((o) => o.display === t.display);
    const variants = ranks((o) => o.display !== t.display && fold(o) === fold(t));
    return [
      t.display.startsWith('⋯') && 'begins inside a word',
      same.length && `looks the same as ${join(same, 'and')}`,
      variants.length && `same letters as ${join(variants, 'and')}`,
    ].filter(Boolean).join(' · ');
  });
}
