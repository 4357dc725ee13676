// Which key does what. Pure: from a key press to the name of a command.

const COMMANDS = {
  j: 'next', k: 'previous', J: 'extend-next', K: 'extend-previous',
  ' ': 'toggle', 0: 'clear-step', Backspace: 'clear', Delete: 'clear', f: 'letters',
  n: 'new', d: 'describe', p: 'stopwords', r: 'remove',
  u: 'undo', U: 'redo', x: 'none', c: 'comment', w: 'search', W: 'wikipedia',
  q: 'skip', g: 'guidelines', b: 'back', '?': 'help', Enter: 'submit', Escape: 'leave',
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

/** The key's character; on other scripts' layouts the Latin letter that is printed beside it. */
function character(event) {
  if (event.key.length === 1 && event.key > '\x7f' && /^Key[A-Z]$/.test(event.code)) {
    const letter = event.code[3];
    return event.shiftKey ? letter : letter.toLowerCase();
  }
  return event.key;
}

/**
 * {name, …} or null. `letters`: picking by letter is on; `keys`: category keys;
 * `where`: 'list' or 'page' for what is not a control of its own, else 'control' (a button, a
 * link) or 'choice' (a radio button, a checkbox), whose own keys are left alone.
 */
export function commandFor(event, {letters, keys, where}) {
  if (event.isComposing || event.altKey) return null;
  const key = character(event);
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
