// Every sentence that scripts of this page say, in one place.

/** Text of others inside a sentence: kept from turning the sentence's direction around. */
export const quoted = (text) =>
  `\u2068${text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')}\u2069`;

export const tokens = (n) => (n === 1 ? '1 token' : `${n} tokens`);
const patterns = (n) => (n === 1 ? '1 pattern' : `${n} patterns`);

export const list = (items) =>
  (items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`);
const either = (items) =>
  (items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`);

export const SAVE_STATES = {
  saved: 'Saved',
  saving: 'Saving…',
  offline: 'Not saved yet: no connection, kept on this computer',
  server: 'Not saved yet: the server does not answer, kept on this computer',
  'logged-out': 'Not saved yet: you are logged out, kept on this computer',
  refused: 'Not saved, kept on this computer',
  conflict: 'Not saved: changed in another tab or on another device',
  submitting: 'Submitting…',
};
/** Where the browser keeps nothing for pages (private windows of some browsers). */
export const SAVE_STATE_NOT_KEPT = 'Not saved yet: keep this page open';

/** The count, and what follows from it; lists with many patterns show only the first. */
export const countParts = (n, minimum) => {
  if (n === 0) return ['no token yet', ''];
  return n < minimum ? [`${n} of ${minimum}`, ': will not count'] : [tokens(n), ''];
};
export const covered = (n, length) => `${n} of ${length} tokens`;

export const NO_PATTERN_YET = 'Click a token to start pattern 1, or move with the arrow keys and press 1.';
export const NO_PATTERN_HERE = 'No pattern in this list. Putting a token into a pattern takes this back.';

export const assigned = (token, number, n) => `${token}: pattern ${number}, ${tokens(n)}`;
export const cleared = (token) => `${token}: no pattern`;
export const someTokens = (n) => tokens(n);
export const patternNow = (number, description) =>
  `Pattern ${number}${description ? `: ${quoted(description)}` : ''}`;
export const categoryNow = (number, category) => `Pattern ${number}: ${quoted(category)}`;
export const stopwordsNow = (number, on) =>
  `Pattern ${number}: ${on ? 'stopwords or punctuation' : 'not stopwords or punctuation'}`;
export const listNow = (position, total) => `List ${position} of ${total}`;
export const UNDONE = 'Undone';
export const REDONE = 'Done again';
export const NOTHING_TO_UNDO = 'Nothing to undo';
export const NOTHING_TO_REDO = 'Nothing to do again';
export const LETTERS_ON = 'Pick by letter: press the letters of tokens. Esc to leave.';
export const FULL = 'There are no more than 30 patterns in a list.';
export const NO_CURRENT = 'There is no pattern yet. Press n or 1 first.';
export const removedForNone = (n) => `${patterns(n)} removed. Undo with u.`;
export const RESTORED = 'Changes that had not been saved were found on this computer and restored.';

export const problem = ({kind, number}, keys) => ({
  nothing: 'Mark at least one pattern, or say that there is none in this list (x).',
  'no-token': `Pattern ${number} has no token. Give it some, or remove it (r).`,
  'no-category': `Pattern ${number} needs a category: press ${either(keys)}.`,
})[kind];

export const tooSmall = (few, minimum) =>
  `${list(few.map((p) => `Pattern ${p.number} has ${p.ranks.length} of ${minimum} tokens`))}. `
  + `${few.length === 1 ? 'It' : 'They'} will be kept but will not count.`;

export const SUBMIT_WAITS = 'Not submitted yet: there is no answer from the server. It is tried '
  + 'again until it works; changing anything stops that.';
export const SUBMIT_STOPPED = 'Submitting was stopped by your change. Submit again when ready.';
export const LOGGED_OUT = 'You are logged out. Your work is kept on this computer.';
export const refused = (message) => `${message} Your work is kept on this computer.`;
export const SKIP_NEEDS_CONNECTION = 'Not skipped: there is no answer from the server. Try again later.';
export const CLOSED = 'This study is not open now: you can look at your work but not change it.';
export const stateNotice = (state, version) => ({
  submitted: `You submitted this list${version > 1 ? ` (version ${version} counts)` : ''}. `
    + 'A change counts once you submit again.',
  skipped: 'You skipped this list. You can still answer it.',
  expired: 'The time for this list has run out. You can still submit it.',
})[state] ?? '';

export const INSIDE_WORD = 'begins inside a word';
export const sameText = (ranks) => `looks the same as ${list(ranks)}`;
export const sameLetters = (ranks) => `same letters as ${list(ranks)}`;

/** What differs between two answers, as rows [what, here, there] of words. */
export function differences(mine, theirs, token) {
  const rows = [];
  const say = (what, here, there) => { if (here !== there) rows.push([what, here, there]); };
  const extra = (ranks, others) => ranks.filter((r) => !others.includes(r)).map(token);
  const members = (p, other) => {
    const also = extra(p.ranks, other.ranks);
    return tokens(p.ranks.length) + (also.length ? `; only here: ${also.join(', ')}` : '');
  };
  const summary = (p) => {
    const words = [p.description && quoted(p.description), p.category && quoted(p.category)];
    return [...words.filter(Boolean), `${tokens(p.ranks.length)}: ${p.ranks.map(token).join(', ')}`].join('; ');
  };
  const flag = (p) => ({true: 'set', false: 'not set', null: 'as proposed'})[p.stopwords];
  say('No pattern here', mine.no_pattern ? 'yes' : 'no', theirs.no_pattern ? 'yes' : 'no');
  for (let i = 0; i < Math.max(mine.patterns.length, theirs.patterns.length); i += 1) {
    const [a, b] = [mine.patterns[i], theirs.patterns[i]];
    const name = `Pattern ${i + 1}`;
    if (!a || !b) {
      rows.push([name, a ? summary(a) : 'is not there', b ? summary(b) : 'is not there']);
      continue;
    }
    if (String(a.ranks) !== String(b.ranks)) rows.push([`${name}, tokens`, members(a, b), members(b, a)]);
    say(`${name}, description`, a.description ? quoted(a.description) : 'none', b.description ? quoted(b.description) : 'none');
    say(`${name}, category`, a.category ? quoted(a.category) : 'none', b.category ? quoted(b.category) : 'none');
    say(`${name}, stopwords`, flag(a), flag(b));
  }
  say('Comment', mine.comment ? quoted(mine.comment) : 'none', theirs.comment ? quoted(theirs.comment) : 'none');
  return rows;
}
