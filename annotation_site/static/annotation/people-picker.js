// A list of people to choose from: search by name, select all that are shown, count.
// Without it, the list of checkboxes works as it stands.

import {isComposing} from './keyboard.js';

for (const picker of document.querySelectorAll('[data-people-picker]')) {
  const rows = [...picker.querySelectorAll('.picker-list .choice')];
  const search = picker.querySelector('[data-picker-search]');
  const boxes = (shown) => rows
    .filter((row) => !shown || !row.hidden)
    .map((row) => row.querySelector('input'));
  const count = () => {
    picker.querySelector('[data-picker-count]').value = boxes().filter((box) => box.checked).length;
  };
  const select = (found, checked) => {
    for (const box of found) box.checked = checked;
    count();
    // As if each had been clicked: a form that shows a preview renews it once.
    found[0]?.dispatchEvent(new Event('change', {bubbles: true}));
  };

  search.addEventListener('input', () => {
    const wanted = search.value.trim().toLowerCase();
    for (const row of rows) {
      const name = row.querySelector('[data-picker-name]').textContent.toLowerCase();
      row.hidden = !name.includes(wanted);
    }
    picker.querySelector('[data-picker-empty]').hidden = rows.some((row) => !row.hidden);
  });
  search.addEventListener('change', (event) => event.stopPropagation()); // nothing of the form's
  search.addEventListener('keydown', (event) => {
    // Enter would send the form; an input method's own Enter ends its conversion.
    if (event.key === 'Enter' && !isComposing(event)) event.preventDefault();
  });
  picker.addEventListener('change', count);
  picker.querySelector('[data-picker-all]').addEventListener('click', () => select(boxes(true), true));
  picker.querySelector('[data-picker-none]').addEventListener('click', () => select(boxes(), false));
  picker.querySelector('[data-picker-tools]').hidden = rows.length < 2;
  count();
}
