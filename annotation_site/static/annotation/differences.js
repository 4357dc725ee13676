// What differs between two answers, in words.

import {quoted, tokens as count} from './words.js';

/** Rows [what, here, there]. */
export function differences(mine, theirs, tokens) {
  const rows = [];
  const say = (what, here, there) => { if (here !== there) rows.push([what, here, there]); };
  const names = (ranks) => ranks.map((r) => quoted(tokens[r - 1].display)).join(', ');
  const or = (text, otherwise) => (text ? quoted(text) : otherwise);
  const members = (a, b) => {
    const only = a.ranks.filter((r) => !b.ranks.includes(r));
    return count(a.ranks.length) + (only.length ? `; only here: ${names(only)}` : '');
  };
  const whole = (p) => (p
    ? `${or(p.description, 'not described')}; ${or(p.category, 'no category')}; ${count(p.ranks.length)}: ${names(p.ranks)}`
    : 'is not there');
  const flag = (p) => ({true: 'set', false: 'not set', null: 'as proposed'})[p.stopwords];

  say('No pattern in this list', mine.no_pattern ? 'yes' : 'no', theirs.no_pattern ? 'yes' : 'no');
  for (let i = 0; i < Math.max(mine.patterns.length, theirs.patterns.length); i += 1) {
    const [a, b] = [mine.patterns[i], theirs.patterns[i]];
    const name = `Pattern ${i + 1}`;
    if (a && b) {
      if (String(a.ranks) !== String(b.ranks)) rows.push([`${name}, tokens`, members(a, b), members(b, a)]);
      say(`${name}, description`, or(a.description, 'none'), or(b.description, 'none'));
      say(`${name}, category`, or(a.category, 'none'), or(b.category, 'none'));
      say(`${name}, stopwords`, flag(a), flag(b));
    } else {
      rows.push([name, whole(a), whole(b)]);
    }
  }
  say('Comment', or(mine.comment, 'none'), or(theirs.comment, 'none'));
  return rows;
}
