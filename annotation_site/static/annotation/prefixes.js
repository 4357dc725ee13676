// Lists of trigger prefixes: how their entries look, and what they are called. Comes before the
// script of the page, which draws the first list.

import {COMMANDS} from './commands.js';
import {element, exact} from './elements.js';
import {gettext, ngettext} from './gettext.js';
import {entry} from './view.js';
import {callEntries} from './words.js';

/** A prefix with its last token marked. In a row the beginning goes where it does not fit. */
const node = ({before, display}) => exact(
  'bdi', {class: 'prefix'}, element('span', {}, before, element('b', {class: 'token'}, display)));

Object.assign(entry, {
  node,
  word: ({before, display}) => (before + display).trim().match(/\S+$/)?.[0] ?? '', // the last one
  senses: (prefix) => [element('li', {}, node(prefix))],
});
callEntries(
  gettext('prefix'), gettext('prefixes'), (n) => ngettext('{n} prefix', '{n} prefixes', n));
COMMANDS.stopwords = () => {}; // their patterns have no such flag
