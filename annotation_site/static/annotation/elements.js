// Makes elements. What people and models wrote enters the document as text, and marked for browsers
// and extensions that translate pages.

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** An element whose words nothing may change; the class is for tools that know only that. */
export const exact = (tag, attributes, ...children) => element(
  tag, {...attributes, translate: 'no', class: `${attributes.class ?? ''} notranslate`.trim()}, ...children);

/** The parts of a sentence: what `quoted` of words.js put into it is exact. */
export const sentence = (text) => text.split(/(\u2068[^\u2068\u2069]*\u2069)/).filter(Boolean).map(
  (part) => (part.startsWith('\u2068') ? exact('bdi', {}, part) : part));
