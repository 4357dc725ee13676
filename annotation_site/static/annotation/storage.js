// What the browser keeps for this site. Where it keeps nothing (blocked, full, private windows),
// even naming it would throw: here that is an answer, and no other script asks.

function keeper(area) {
  const attempt = (use, otherwise) => {
    try { return use(area()); } catch { return otherwise; }
  };
  return {
    /** The text, or null. */
    get: (key) => attempt((kept) => kept.getItem(key), null),
    /** Whether it is kept now. */
    set: (key, text) => attempt((kept) => { kept.setItem(key, text); return true; }, false),
    remove: (key) => attempt((kept) => kept.removeItem(key)),
    keys: (prefix) => attempt((kept) => Object.keys(kept).filter((key) => key.startsWith(prefix)), []),
    /** What was kept as JSON, or null, also for what cannot be read. */
    json: (key) => attempt((kept) => JSON.parse(kept.getItem(key)), null),
  };
}

/** For all tabs, until it is removed. */
export const local = keeper(() => localStorage);
/** For this tab, while it is open. */
export const session = keeper(() => sessionStorage);
