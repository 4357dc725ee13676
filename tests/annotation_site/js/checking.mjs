// What runs one function of a *.test.js file, in a page and under node.

/** What the function found wrong, in its order; an empty list where nothing is. */
export async function problemsOf(module, name) {
  const problems = [];
  const text = (value) => JSON.stringify(value);
  await module[name]((found, wanted) => {
    const [is, should] = [text(found), text(wanted)];
    if (is !== should) problems.push(`${is} is not ${should}`);
  });
  return problems;
}
