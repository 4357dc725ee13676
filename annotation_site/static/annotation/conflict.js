// The same list was changed elsewhere: both versions in words, and the person chooses. Fetched
// when it happens, which is seldom and when the server has just been reached.

import {annotationOf, finished, normalise} from './annotation.js';
import {desk} from './desk.js';
import {ask} from './dialogs.js';
import {element, sentence} from './elements.js';
import {gettext} from './gettext.js';
import {act} from './history.js';
import {$, focusCursor, message} from './view.js';
import {NO_CATEGORY, counted as count, entriesOf, quoted} from './words.js';

/** Shows the choice and puts the chosen version on the desk; 'mine', 'theirs' or '' for not now. */
export async function chooseVersion({content}) {
  const mine = desk.state.annotation;
  const theirs = normalise(annotationOf(content), desk.rules);
  const choice = await askFor(differences(finished(mine), finished(theirs), desk.page.list.tokens));
  if (!choice) return '';
  // Whatever is chosen, the other version stays one undo away.
  const [keep, drop] = choice === 'mine' ? [mine, theirs] : [theirs, mine];
  desk.state = act({...desk.state, annotation: drop}, {type: 'replace', annotation: keep}, desk.rules);
  desk.draw();
  message(null);
  focusCursor();
  return choice;
}

const askFor = (rows) => ask('conflict-dialog', () => {
  $('conflict-rows').replaceChildren(...rows.map(([what, here, there]) => element('tr', {},
    element('th', {scope: 'row'}, what), element('td', {}, ...sentence(here)), element('td', {}, ...sentence(there)))));
});

/** Rows [what, here, there] of words. */
function differences(mine, theirs, tokens) {
  const rows = [];
  const say = (what, here, there) => { if (here !== there) rows.push([what, here, there]); };
  const names = (ranks) => ranks.map((r) => quoted(tokens[r - 1].display)).join(', ');
  const or = (text, otherwise) => (text ? quoted(text) : otherwise);
  const members = (a, b) => {
    const only = a.ranks.filter((r) => !b.ranks.includes(r));
    const number = count(a.ranks.length);
    return only.length ? gettext('{number}; only here: {names}', {number, names: names(only)}) : number;
  };
  const none = gettext('none');
  const whole = (p) => (p
    ? `${or(p.description, gettext('not described'))}; ${or(p.category, NO_CATEGORY)}; ${count(p.ranks.length)}: ${names(p.ranks)}`
    : gettext('missing'));
  const flags = {true: gettext('set'), false: gettext('not set'), null: gettext('as proposed')};
  const yes = (on) => (on ? gettext('yes') : gettext('no'));

  say(gettext('No pattern in this list'), yes(mine.no_pattern), yes(theirs.no_pattern));
  for (let i = 0; i < Math.max(mine.patterns.length, theirs.patterns.length); i += 1) {
    const [a, b] = [mine.patterns[i], theirs.patterns[i]];
    const number = i + 1;
    if (a && b) {
      if (String(a.ranks) !== String(b.ranks)) {
        rows.push([entriesOf(number), members(a, b), members(b, a)]);
      }
      say(gettext('Pattern {number}, description', {number}), or(a.description, none), or(b.description, none));
      say(gettext('Pattern {number}, category', {number}), or(a.category, none), or(b.category, none));
      say(gettext('Pattern {number}, stopwords', {number}), flags[a.stopwords], flags[b.stopwords]);
    } else {
      rows.push([gettext('Pattern {number}', {number}), whole(a), whole(b)]);
    }
  }
  say(gettext('Comment'), or(mine.comment, none), or(theirs.comment, none));
  return rows;
}
