// Which key does what. Pure: from a key press to the name of a command.

const COMMANDS = {
  j: 'next', k: 'previous', J: 'extend-next', K: 'extend-previous',
  ' ': 'toggle', 0: 'clear-step', Backspace: 'clear', Delete: 'clear', f: 'letters',
  n: 'new', d: 'describe', p: 'stopwords', r: 'remove',
  u: 'undo', U: 'redo', x: 'none', c: 'comment', w: 'search', W: 'encyclopedia',
  q: 'skip', g: 'guidelines', b: 'back', '?': 'help', '؟': 'help', Enter: 'submit', Escape: 'leave',
};

const MOVES = {
  ArrowDown: 'next', ArrowUp: 'previous', Home: 'first', End: 'last',
  ArrowLeft: 'previous-pattern', ArrowRight: 'next-pattern',
};

// Holding one of these down goes on; holding any other key down does it once.
const REPEATABLE = new Set([
  'next', 'previous', 'extend-next', 'extend-previous', 'undo', 'redo',
  'previous-pattern', 'next-pattern']);

/** The letters that stand for ranks 1, 2, … while picking by letter. */
export const LETTERS = [...'abcdefghijklmnopqrstuvwxyz,.-;'];

/** One key for every category: its first letter that nothing else uses. */
export function categoryKeys(categories) {
  const keys = new Map();
  for (const category of categories) {
    const key = [...category.toLowerCase()].find(
      (c) => /[a-z]/.test(c) && !(c in COMMANDS) && !keys.has(c));
    if (key) keys.set(key, category);
  }
  return keys;
}

/** Whether an input method takes the key. In Safari only the code 229 tells, after the conversion. */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

// Only Windows reports AltGr as Ctrl+Alt, so it is asked for by name.
const hasOn = (event, name) => event.getModifierState?.(name) ?? false;

/** Whether a key is held that makes another key a shortcut or types its third character. */
export const isModified = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || hasOn(event, 'AltGraph');

// Signs on a letter's key in Greek, Hebrew, Bulgarian, Arabic and Persian. Other signs are signs.
const SIGNS = {KeyQ: ';:/,', KeyW: "'", KeyU: '‘', KeyK: '،»'};

/**
 * The character that a key press means: what the layout types, else by the key's place a digit, or
 * the Latin letter beside another script's. `letters`: picking by letter is on.
 */
export function character(event, letters = false) {
  const {key = '', code, shiftKey} = event;
  if (/^[A-Z]\w+$/.test(key)) return key; // a key with a name
  const typed = key.normalize('NFKC'); // full-width characters are the plain ones in another shape
  if (/^[a-z]$/i.test(typed)) return hasOn(event, 'CapsLock') ? inCase(typed, shiftKey) : typed;
  if (/^\p{Nd}$/u.test(typed)) return String(digitOf(typed));
  if (typed in COMMANDS || (letters && LETTERS.includes(typed))) return typed;
  const [, letter, digit] = /^(?:Key([A-Z])|(?:Digit|Numpad)(\d))$/.exec(code) ?? [];
  const isBeside = /[\p{L}\p{M}]/u.test(typed) ? !/\p{Script=Latin}/u.test(typed) : SIGNS[code]?.includes(typed);
  return digit ?? (letter && isBeside ? inCase(letter, shiftKey) : typed);
}

/** Shift alone makes a capital letter, so that Caps Lock changes no command. */
const inCase = (letter, shift) => (shift ? letter.toUpperCase() : letter.toLowerCase());

/** The value of a decimal digit of any script: each has its ten in a row. */
function digitOf(digit) {
  const point = digit.codePointAt(0);
  let value = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(point - value - 1))) value += 1;
  return value % 10;
}

/**
 * {name, …} or null. `letters`: picking by letter is on; `keys`: category keys;
 * `where`: 'list' or 'page' for what is not a control of its own, else 'control' (a button, a
 * link) or 'choice' (a radio button, a checkbox), whose own keys are left alone.
 */
export function commandFor(event, {letters, keys, where}) {
  if (isComposing(event) || event.altKey || hasOn(event, 'AltGraph')) return null;
  const key = character(event, letters);
  if (event.ctrlKey || event.metaKey) {
    if (key.toLowerCase() === 'z') return {name: event.shiftKey ? 'redo' : 'undo'};
    if (key.toLowerCase() === 'y') return {name: 'redo'};
    if (key === 'Enter' && !event.repeat) return {name: 'submit'};
    return null;
  }
  if (where === 'control' && (key === 'Enter' || key === ' ')) return null;
  if (where === 'choice' && (key === ' ' || key in MOVES)) return null;
  const command = plain(key, event.shiftKey, letters, keys);
  return command && (!event.repeat || REPEATABLE.has(command.name)) ? command : null;
}

function plain(key, shift, letters, keys) {
  if (key in MOVES) {
    const name = MOVES[key];
    return {name: shift && !name.endsWith('pattern') ? `extend-${name}` : name};
  }
  if (letters) {
    if (key === 'Enter' || key === 'Escape') return {name: 'leave'};
    if (/^[1-9]$/.test(key)) return {name: 'choose', number: Number(key)};
    const place = LETTERS.indexOf(key.toLowerCase());
    if (place >= 0) return {name: 'pick', rank: place + 1};
  }
  if (/^[1-9]$/.test(key)) return {name: 'assign', number: Number(key)};
  if (keys.has(key)) return {name: 'category', category: keys.get(key)};
  return key in COMMANDS ? {name: COMMANDS[key]} : null;
}
