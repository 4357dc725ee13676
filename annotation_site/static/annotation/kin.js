// Underlines the entries spelled like the current one, in studies that want it.

import {entry} from './view.js';

entry.enter = (rows, rank, {same, variants, alike}) => {
  const others = [...same, ...variants, ...alike];
  rows.forEach((row, i) => row.classList.toggle(
    'kin', others.includes(i + 1) || (others.length > 0 && i + 1 === rank)));
};
