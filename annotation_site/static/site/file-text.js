// A file of the person's own computer fills a field with its text; it is not sent as a file.

const field = document.querySelector("[data-file-field]");
const text = document.querySelector("[data-file-text]");

field.hidden = false;
field.querySelector("input").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) text.value = (await file.slice(0, 1_000_000).text()).slice(0, text.maxLength);
});
