// What was done, newest first, and whether the chain of it holds. Asked for only when somebody opens it: a look is told, too.
import { element, get, make, say } from "./api.js";

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
  const page = await get(`/audit?limit=50${anew || next === null ? "" : `&cursor=${next}`}`);
  const rows = page.rows.map(line);
  if (anew) element("audited").replaceChildren(...rows);
  else element("audited").append(...rows);
  next = page.next_cursor;
  element("older").hidden = next === null;
}

async function check() {
  const found = await get("/audit/check");
  element("chain").classList.toggle("message", !found.holds);
  say(element("chain"), found.holds
    ? "Every row stands as it was written."
    : `Row ${found.broken_at} is missing or was changed: keep this database as it is and see docs/operations.md.`);
}

/** @param {(action: () => Promise<unknown>) => Promise<boolean>} attempt */
export function watchAudit(attempt) {
  const whole = /** @type {HTMLDetailsElement} */ (element("audit"));
  whole.addEventListener("toggle", () => whole.open && attempt(() => Promise.all([show(true), check()])));
  element("older").addEventListener("click", () => attempt(() => show(false)));
}
