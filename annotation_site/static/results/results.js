// The results page: Show is grey until the filter is changed, menus close, the methods paragraph is
// copied whole. Without this the page does all of it but for the copying.

const filter = document.querySelector("#filter");
const show = filter.querySelector("[data-show]");
const card = document.querySelector("#filter-card");
const chosen = () => {
  const data = new FormData(filter);
  data.delete("before"); // the tables that the page shows are no choice
  return new URLSearchParams(data).toString();
};
const atFirst = chosen();
const idleTitle = show.title;

function mark() {
  const same = chosen() === atFirst;
  show.setAttribute("aria-disabled", String(same));
  show.title = same ? idleTitle : "";
}

// A refused filter can be sent again: the sentence says what to change.
if (!("refused" in card.dataset)) {
  mark();
  filter.addEventListener("input", mark);
  filter.addEventListener("submit", (event) => {
    if (chosen() === atFirst) event.preventDefault();
  });
  // One line on the phone.
  if (matchMedia("(max-width: 600px)").matches) card.open = false;
}
// A browser that comes back fills the fields in again.
addEventListener("pageshow", () => {
  if (!("refused" in card.dataset)) mark();
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest(".menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("click", (event) => {
  for (const menu of filter.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

async function copy(button) {
  const text = document.getElementById(button.dataset.copyText);
  const said = button.parentElement.querySelector("[data-said]");
  try {
    await navigator.clipboard.writeText(text.textContent);
    said.textContent = said.dataset.copied;
  } catch {
    getSelection().selectAllChildren(text);
    said.textContent = said.dataset.notCopied;
  }
}

function offerCopying() {
  for (const button of document.querySelectorAll("[data-copy-text]")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy-text]");
  if (button) copy(button);
});
if (navigator.clipboard) {
  offerCopying();
  document.addEventListener("htmx:afterSettle", offerCopying); // the tables are replaced when new
}
