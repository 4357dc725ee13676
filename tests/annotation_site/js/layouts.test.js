// Keyboards of the world × keys: what a person presses is what the page does, whatever the layout
// types. A layout is a table of what its digit row and its three rows of letters type.

import {categoryKeys, character, commandFor} from '/static/annotation/keyboard.js';

const DIGITS = [...'1234567890'].map((digit) => `Digit${digit}`);
const PLACES = [...'QWERTYUIOP'].map((letter) => `Key${letter}`).concat(
  [...'ASDFGHJKL'].map((letter) => `Key${letter}`), 'Semicolon',
  [...'ZXCVBNM'].map((letter) => `Key${letter}`), 'Comma', 'Period', 'Slash');
const US = '1 2 3 4 5 6 7 8 9 0';
const US_SHIFT = '! @ # $ % ^ & * ( )';

// [digit row, digit row with Shift, three rows of letters]
const LATIN = {
  us: [US, US_SHIFT, 'q w e r t y u i o p a s d f g h j k l ; z x c v b n m , . /'],
  azerty: ['& é " \' ( - è _ ç à', US, 'a z e r t y u i o p q s d f g h j k l m w x c v b n , ; : !'],
  qwertz: [US, '! " § $ % & / ( ) =', 'q w e r t z u i o p a s d f g h j k l ö y x c v b n m , . -'],
  czech: ['+ ě š č ř ž ý á í é', US, 'q w e r t z u i o p a s d f g h j k l ů y x c v b n m , . -'],
  turkish: [US, '! \' ^ + % & / ( ) =', 'q w e r t y u ı o p a s d f g h j k l ş z x c v b n m ö ç .'],
  dvorak: [US, US_SHIFT, "' , . p y f g c r l a o e u i d h t n s ; q j k x b m w v z"],
  colemak: [US, US_SHIFT, 'q w f p g j l u y ; a r s t d h n e i o z x c v b k m , . /'],
  bépo: ['" « » ( ) @ + - / *', US, 'b é p o è Dead v d l j a u i e , c t s r n à y x . k ’ q g h f'],
  'full-width': ['１ ２ ３ ４ ５ ６ ７ ８ ９ ０', '！ ＠ ＃ ＄ ％ ＾ ＆ ＊ （ ）',
    'ｑ ｗ ｅ ｒ ｔ ｙ ｕ ｉ ｏ ｐ ａ ｓ ｄ ｆ ｇ ｈ ｊ ｋ ｌ ； ｚ ｘ ｃ ｖ ｂ ｎ ｍ ， ． ／'],
};
const OTHERS = {
  cyrillic: [US, '! " № ; % : ? * ( )', 'й ц у к е н г ш щ з ф ы в а п р о л д ж я ч с м и т ь б ю .'],
  bulgarian: [US, '! ? + " % = : / – №', ', у е и ш щ к с д з ь я а о ж г т н в м ю й ъ э ф х п р л б'],
  greek: [US, US_SHIFT, '; ς ε ρ τ υ θ ι ο π α σ δ φ γ η ξ κ λ Dead ζ χ ψ ω β ν μ , . /'],
  hebrew: [US, US_SHIFT, "/ ' ק ר א ט ו ן ם פ ש ד ג כ ע י ח ל ך ף ז ס ב ה נ מ צ ת ץ ."],
  persian: ['۱ ۲ ۳ ۴ ۵ ۶ ۷ ۸ ۹ ۰', '! ٬ ٫ ﷼ ٪ × ، * ) (',
    'ض ص ث ق ف غ ع ه خ ح ش س ی ب ل ا ت ن م ک ظ ط ز ر ذ د پ و . /'],
  arabic: ['١ ٢ ٣ ٤ ٥ ٦ ٧ ٨ ٩ ٠', '! @ # $ % ^ & * ) (',
    'ض ص ث ق ف غ ع ه خ ح ش س ي ب ل ا ت ن م ك ئ ء ؤ ر لا ى ة و ز ظ'],
  thai: ['ๅ / - ภ ถ ุ ึ ค ต จ', '+ ๑ ๒ ๓ ๔ ู ฿ ๕ ๖ ๗',
    'ๆ ไ ำ พ ะ ั ี ร น ย ฟ ห ก ด เ ้ ่ า ส ว ผ ป แ อ ิ ื ท ม ใ ฝ'],
};
const LAYOUTS = Object.entries({...LATIN, ...OTHERS});

const keys = categoryKeys(['semantic', 'syntactic', 'names']);
const press = (event, letters = false) => commandFor({code: '', ...event}, {letters, keys, where: 'list'});
const typing = (text) => text.split(' ');
const held = (...names) => ({getModifierState: (name) => names.includes(name)});
const plainly = (key) => press({key, code: ''}); // what a character means wherever it is typed
const isLetter = (place) => place.startsWith('Key');
const digitCommand = (digit) => (digit ? {name: 'assign', number: digit} : {name: 'clear-step'});

/** Every key of a layout as [layout, place, what it types, Shift held]. */
function* allKeys() {
  for (const [layout, [row, shifted, letters]] of LAYOUTS) {
    for (const [i, code] of DIGITS.entries()) {
      yield [layout, code, typing(row)[i], false];
      yield [layout, code, typing(shifted)[i], true];
    }
    for (const [i, code] of PLACES.entries()) yield [layout, code, typing(letters)[i], false];
  }
}

export function testTheDigitRowPutsTokensIntoPatternsOnEveryLayout(equal) {
  // A character that is a digit of another value, or a command, is what it says.
  const says = {'?': {name: 'help'}};
  for (const [n, digit] of [...'๑๒๓๔๕๖๗'].entries()) says[digit] = digitCommand(n + 1);
  let tried = 0;
  for (const [layout, code, key, shiftKey] of allKeys()) {
    if (!code.startsWith('Digit')) continue;
    const wanted = says[key] ?? digitCommand(Number(code.at(-1)));
    equal([layout, code, key, press({key, code, shiftKey})], [layout, code, key, wanted]);
    tried += 1;
  }
  equal(tried, LAYOUTS.length * 20);
}

export function testALatinLetterIsItselfWhereverItsKeyStands(equal) {
  for (const [layout, [, , rows]] of Object.entries(LATIN)) {
    for (const [i, code] of PLACES.entries()) {
      const key = typing(rows)[i];
      const latin = key.normalize('NFKC');
      // Letters with accents and signs do nothing: the letter printed there elsewhere has its own key.
      const wanted = /^[a-z]$/.test(latin) ? plainly(latin) : null;
      equal([layout, code, key, press({key, code, shiftKey: false})], [layout, code, key, wanted]);
    }
  }
}

export function testAnotherScriptsKeyIsTheLatinLetterPrintedBesideIt(equal) {
  for (const [layout, [, , rows]] of Object.entries(OTHERS)) {
    for (const [i, code] of PLACES.entries()) {
      if (!isLetter(code)) continue;
      const key = typing(rows)[i];
      const wanted = plainly(code.at(-1).toLowerCase());
      equal([layout, code, key, press({key, code, shiftKey: false})], [layout, code, key, wanted]);
    }
  }
}

export function testCapitalsAreMadeByShiftAndNotByCapsLock(equal) {
  for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
    const code = `Key${letter.toUpperCase()}`;
    const [small, capital] = [plainly(letter), plainly(letter.toUpperCase())];
    const locked = held('CapsLock');
    equal([letter, press({key: letter.toUpperCase(), code, shiftKey: false, ...locked})], [letter, small]);
    for (const key of [letter, letter.toUpperCase()]) { // systems differ in what both together type
      equal([key, press({key, code, shiftKey: true, ...locked})], [key, capital]);
    }
  }
  equal([plainly('u'), plainly('U')], [{name: 'undo'}, {name: 'redo'}]);
}

export function testShiftedLettersOfOtherScriptsAreCapitals(equal) {
  const shifted = [
    ['Г', 'KeyU'], ['Θ', 'KeyU'], ['‘', 'KeyU'], ['َ', 'KeyU'], ['О', 'KeyJ'], ['ـ', 'KeyJ'],
    ['،', 'KeyK'], ['»', 'KeyK'], ['ษ', 'KeyK'], ['Ц', 'KeyW'], ['ً', 'KeyW'], ['Ｕ', 'KeyU']];
  for (const [key, code] of shifted) {
    equal([key, press({key, code, shiftKey: true})], [key, plainly(code.at(-1))]);
  }
}

export function testTheNumberPadTypesDigitsOfItsOwn(equal) {
  for (const digit of '0123456789') {
    const local = String.fromCodePoint(0x06F0 + Number(digit));
    for (const key of [digit, local]) {
      equal([key, press({key, code: `Numpad${digit}`})], [key, digitCommand(Number(digit))]);
    }
  }
  equal(press({key: 'ArrowDown', code: 'Numpad2'}), {name: 'next'}); // without Num Lock
  equal(press({key: 'Enter', code: 'NumpadEnter'}), {name: 'submit'});
}

export function testNothingTypedWithAnotherModifierIsACommand(equal) {
  const shortcuts = ['undo', 'redo', 'submit', undefined];
  for (const [layout, code, key, shiftKey] of allKeys()) {
    for (const more of [{altKey: true}, {altKey: true, ctrlKey: true}, held('AltGraph'),
      {altKey: true, metaKey: true}, {ctrlKey: true, ...held('AltGraph')}]) {
      equal([layout, key, press({key, code, shiftKey, ...more})], [layout, key, null]);
    }
    for (const more of [{ctrlKey: true}, {metaKey: true}]) {
      const name = press({key, code, shiftKey, ...more})?.name;
      equal([layout, key, shortcuts.includes(name)], [layout, key, true]);
    }
  }
}

export function testTheCharacterWinsOverThePlaceWherePickingByLetterWantsIt(equal) {
  equal(press({key: '-', code: 'Digit6'}, true), {name: 'pick', rank: 29}); // AZERTY
  equal(press({key: ';', code: 'KeyQ'}, true), {name: 'pick', rank: 30}); // Greek
  equal(press({key: 'é', code: 'Digit2'}, true), {name: 'choose', number: 2});
  equal(press({key: 'ф', code: 'KeyA'}, true), {name: 'pick', rank: 1});
}

export function testFinalAnswersAreTakenByTheSameLetters(equal) {
  const taken = (event) => character({shiftKey: true, code: 'KeyA', ...event});
  equal([taken({key: 'A'}), taken({key: 'Ф'}), taken({key: 'a', ...held('CapsLock')})], ['A', 'A', 'A']);
}

export function testQuestionMarksOfOtherScriptsAskForHelp(equal) {
  for (const key of ['?', '？', '؟']) equal(press({key, code: 'Slash', shiftKey: true}), {name: 'help'});
}

export function testAKeyThatTellsNothingDoesNothing(equal) {
  // Autofill and some virtual keyboards send such events.
  for (const event of [{}, {key: undefined}, {key: ''}, {key: 'Dead', code: 'KeyW'}, {key: 'Unidentified'},
    {key: 'j', code: 'KeyJ', keyCode: 229}, {key: 'Process', code: 'KeyJ', keyCode: 229}]) {
    equal(press(event), null);
  }
}
