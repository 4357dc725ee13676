// The form of a study: a remedy's button puts its value into the field, and the preview follows.
// Without this script the button sends the form, and the server does the same.

addEventListener('click', (event) => {
  const button = event.target.closest('button[name="use"]');
  if (!button) return;
  event.preventDefault();
  const at = button.value.indexOf('=');
  const [name, value] = [button.value.slice(0, at), button.value.slice(at + 1)];
  for (const field of button.form.elements[name] instanceof RadioNodeList
    ? button.form.elements[name] : [button.form.elements[name]]) {
    if (field.type === 'radio') field.checked = field.value === value;
    else field.value = value;
    if (field.type !== 'radio' || field.checked) {
      field.focus(); // the button goes with its sentence
      field.dispatchEvent(new Event('change', {bubbles: true}));
    }
  }
});
