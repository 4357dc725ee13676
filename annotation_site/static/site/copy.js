// A button that copies the link or token beside it. Without it, or without a clipboard (plain
// http), it can be selected and copied by hand.

const link = document.querySelector("[data-copy-from]");
const button = document.querySelector("[data-copy]");
const said = document.querySelector("[data-copied]");

link.addEventListener("focus", () => link.select());
if (navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(link.value);
      said.textContent = said.dataset.copied;
    } catch {
      link.focus();
      said.textContent = said.dataset.notCopied;
    }
  });
}
