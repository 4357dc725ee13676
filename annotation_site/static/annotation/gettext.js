// Sentences in the person's language. English has no catalogue: there a sentence is its own key.

const {messages = {}, plural} = globalThis.catalogue ?? {};

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export const gettext = (text, values = {}) => fill(messages[text] || text, values);

/** `plural` names the form for every number from 0; the last one stands for all above. */
export function ngettext(one, many, n, values = {}) {
  const forms = messages[one];
  const text = forms ? forms[plural[Math.min(n, plural.length - 1)]] : [many, one][Number(n === 1)];
  return fill(text, {n, ...values});
}
