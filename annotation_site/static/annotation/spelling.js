// Which tokens of a list are spelled alike. Pure: from the tokens' texts to ranks.

const SHARED = 4; // letters of a beginning or an end that make two words alike: trans-, -ness

const fold = (display) => display.replace(/^⋯/, '').trim().toLowerCase();

const beginning = (text) => text.slice(0, SHARED);
const end = (text) => text.slice(-SHARED);
const alike = (a, b) => (a === b && a !== '') || [beginning, end].some(
  (part) => part(a) === part(b) && /^\p{L}{4}$/u.test(part(a)));

/** For each token the ranks that look the same, differ in case only, and (if wanted) share an end. */
export function likenesses(displays, wantAlike) {
  const folded = displays.map(fold);
  return displays.map((display, i) => {
    const ranks = (test) => displays.flatMap((_, j) => (j !== i && test(j) ? [j + 1] : []));
    const sameLetters = (j) => displays[j].toLowerCase() === display.toLowerCase();
    return {
      inside: display.startsWith('⋯'),
      same: ranks((j) => displays[j] === display),
      variants: ranks((j) => displays[j] !== display && sameLetters(j)),
      alike: wantAlike ? ranks((j) => !sameLetters(j) && alike(folded[i], folded[j])) : [],
    };
  });
}
