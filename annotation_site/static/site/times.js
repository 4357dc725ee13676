// Shows moments on the reader's own clock, in the site's one format: 29 Nov 2026, 13:32. The server
// writes the same in UTC, for browsers without scripts.

const {lang} = document.documentElement;
const month = new Intl.DateTimeFormat(lang, {month: 'short'});
const two = (number) => String(number).padStart(2, '0');

export function written(at, seconds = false) {
  const name = month.format(at).replace(/\.$/, '').replace('Sept', 'Sep');
  const clock = [at.getHours(), at.getMinutes(), ...seconds ? [at.getSeconds()] : []].map(two).join(':');
  return `${at.getDate()} ${name} ${at.getFullYear()}, ${clock}`;
}

function localise() {
  for (const node of document.querySelectorAll('time[data-local]')) {
    const at = new Date(node.dateTime);
    if (!Number.isNaN(at.getTime())) node.textContent = written(at, 'seconds' in node.dataset);
  }
}

localise();
document.addEventListener('htmx:afterSwap', localise); // parts of a page that follow the server
