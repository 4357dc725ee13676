// Search among a published study's lists, in the reader's browser over one file. Without it the
// pages of lists have everything.

const MOST = 50; // lists that are shown at once
const form = document.querySelector("#search");
const field = document.querySelector("#q");
const said = document.querySelector("#said");
const found = document.querySelector("#found");
const words = form.dataset;
let lists; // a promise, once somebody searches

form.hidden = false;
const folded = (text) => text.toLocaleLowerCase().normalize("NFKC");
const filled = (sentence, places) =>
  Object.entries(places).reduce((text, [name, value]) => text.replace(`{${name}}`, value), sentence);

async function read() {
  const response = await fetch(words.source);
  if (!response.ok) throw new Error(String(response.status));
  return (await response.json()).lists;
}

// A list matches where every word is in an entry, a description or a category.
function matches(list, wanted) {
  list.text ??= folded(
    [...list.entries, ...list.patterns.flatMap((one) => [one.description, one.category])].join("\n"),
  );
  return wanted.every((word) => list.text.includes(word));
}

function element(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text) made.textContent = text;
  return made;
}

function raw(text) {
  const made = element("bdi", text, { className: "notranslate" });
  made.setAttribute("translate", "no");
  return made;
}

function row(list, wanted) {
  const made = element("li");
  const head = element("p");
  const number = filled(words.list, { n: list.number });
  head.append(element("a", number, { href: `lists-${list.page}.html#list-${list.number}` }));
  const place = element("span", "", { className: "small soft" });
  const where = [filled(words.layer, { n: list.layer }), filled(words.index, { n: list.index })];
  place.append(" ", raw(`${list.model} · ${list.kind}`), ` · ${where.join(" · ")}`);
  head.append(place);
  const entries = element("p", "", { className: "small" });
  list.entries.slice(0, 40).forEach((entry, n) => {
    const hit = wanted.some((word) => folded(entry).includes(word));
    if (n < 8 || hit) {
      const token = raw(entry);
      if (hit) entries.append(element("mark"), " ");
      if (hit) entries.lastElementChild.append(token);
      else entries.append(token, " ");
    }
  });
  const patterns = list.patterns.map((one) => one.description || one.category);
  const names = element("p", "", { className: "small soft" });
  if (patterns.length) names.append(raw(patterns.join("; ")));
  else names.append(words.noPattern);
  made.append(head, entries, names);
  return made;
}

async function search() {
  const asked = field.value;
  const wanted = folded(asked).split(/\s+/).filter(Boolean);
  const address = new URL(location);
  if (wanted.length) address.searchParams.set("q", asked.trim());
  else address.searchParams.delete("q");
  history.replaceState(null, "", address);
  if (!wanted.length) {
    said.textContent = "";
    found.replaceChildren();
    return;
  }
  try {
    lists ??= read();
    const hits = (await lists).filter((list) => matches(list, wanted));
    if (asked !== field.value) return; // somebody typed on
    found.replaceChildren(...hits.slice(0, MOST).map((list) => row(list, wanted)));
    const sentence = hits.length > MOST ? words.more : hits.length === 1 ? words.one : words.many;
    said.textContent = hits.length
      ? filled(sentence, { n: hits.length.toLocaleString("en"), most: MOST })
      : words.none;
  } catch {
    lists = undefined;
    found.replaceChildren();
    said.textContent = words.failed;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
let waiting;
field.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(search, 200);
});
field.value = new URLSearchParams(location.search).get("q") ?? "";
if (field.value) search();
