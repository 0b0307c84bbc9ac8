// What was done, newest first, and whether the chain of it holds. Asked for only when somebody opens it: a look is told, too.
import { element, get, make, say } from "../shared/http.js";

/** @type {number | null} */
let next = null;

/** @param {any} detail */
const told = (detail) => Object.entries(detail).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`).join(", ");

/** @param {any} one */
function line(one) {
  const row = make("tr"), subject = make("td", "", one.subject.slice(0, 12));
  subject.title = one.subject;
  const when = new Date(one.at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  row.append(...[when, one.who, one.action].map((text) => make("td", "", text)), subject,
    ...[told(one.detail), one.origin].map((text) => make("td", "", text)));
  return row;
}

/** @param {boolean} anew */
async function show(anew) {
  const older = /** @type {HTMLButtonElement} */ (element("older"));
  older.disabled = true;
  try {
    const page = await get(`/audit?limit=50${anew || next === null ? "" : `&cursor=${next}`}`);
    if (anew) element("audited").replaceChildren();
    element("audited").append(...page.rows.map(line));
    next = page.next_cursor;
    older.hidden = next === null;
  } finally {
    older.disabled = false;
  }
}

async function check() {
  const found = await get("/audit/check");
  element("chain").className = found.holds ? "small" : "message";
  say(element("chain"), found.holds
    ? "Every row stands as it was written."
    : `Row ${found.broken_at} is missing or was changed: keep this database as it is and see docs/operations.md.`);
}

/** @param {(action: () => Promise<unknown>) => Promise<boolean>} attempt */
export function watchAudit(attempt) {
  const whole = /** @type {HTMLDetailsElement} */ (element("audit"));
  const opened = () => whole.open && attempt(async () => { await show(true); await check(); });
  whole.addEventListener("toggle", opened, { once: true }); // what comes later is told by a new look at the page
  element("older").addEventListener("click", () => attempt(() => show(false)));
}
