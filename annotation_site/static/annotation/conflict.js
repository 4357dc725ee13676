// The same list was changed elsewhere: both versions in words, and the person chooses. Fetched
// when it happens, which is seldom and when the server has just been reached.

import {finished, normalise} from './answer.js';
import {desk} from './desk.js';
import {ask} from './dialogs.js';
import {act} from './history.js';
import {element, focusCursor, message} from './view.js';
import {quoted, tokens as count} from './words.js';

/** Shows the choice and puts the chosen version on the desk; 'mine', 'theirs' or '' for not now. */
export async function chooseVersion({content}) {
  const mine = desk.state.answer;
  const theirs = normalise(content?.answer, desk.rules);
  const choice = await askFor(differences(finished(mine), finished(theirs), desk.page.list.tokens));
  if (!choice) return '';
  // Whatever is chosen, the other version stays one undo away.
  const [keep, drop] = choice === 'mine' ? [mine, theirs] : [theirs, mine];
  desk.state = act({...desk.state, answer: drop}, {type: 'replace', answer: keep}, desk.rules);
  desk.draw();
  message(null);
  focusCursor();
  return choice;
}

async function askFor(rows) {
  const button = (value, label, more) => element('button', {value, class: `button ${more}`}, label);
  const row = ([what, here, there]) => element('tr', {},
    element('th', {scope: 'row'}, what), element('td', {}, here), element('td', {}, there));
  const heads = ['What differs', 'Here', 'Saved elsewhere'].map((h) => element('th', {scope: 'col'}, h));
  const dialog = element('dialog', {id: 'conflict-dialog', class: 'wide', 'aria-labelledby': 'conflict-title'},
    element('form', {method: 'dialog'},
      // Not a button has the focus: somebody may be typing when this opens.
      element('h2', {id: 'conflict-title', tabindex: -1, autofocus: ''}, 'This list was changed in another tab or on another device'),
      element('p', {}, 'Choose which version to go on with. The other stays one undo (u) away.'),
      element('table', {}, element('thead', {}, element('tr', {}, ...heads)),
        element('tbody', {id: 'conflict-rows'}, ...rows.map(row))),
      element('div', {class: 'actions'},
        button('theirs', 'Use the one saved elsewhere', ''), button('mine', 'Keep this one', 'button-primary'))));
  document.body.append(dialog);
  const choice = await ask(dialog);
  dialog.remove();
  return choice;
}

/** Rows [what, here, there] of words. */
function differences(mine, theirs, tokens) {
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
