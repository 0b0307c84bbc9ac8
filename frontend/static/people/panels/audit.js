// The audit, newest first, and whether its chain of hashes is intact.
// It is loaded only when it is opened, since each reading is itself recorded.
import { isManager, request } from "../../shared/http.js";
import { make, part, showText } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { attempt } from "../state.js";

const PAGE = 50;

/** @param {object} detail */
const describe = (detail) => Object.entries(detail).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`).join(", ");

/** @param {import("../../shared/types").AuditRow} entry */
function line({ at, who: name, action, subject, detail, origin }) {
  const row = make("tr");
  const object = make("td", "", subject.slice(0, 12));
  object.title = subject;
  const when = at === null ? "" : new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  row.append(...[when, name, action].map((text) => make("td", "", text)), object, ...[describe(detail), origin].map((text) => make("td", "", text)));
  return row;
}

/** @param {HTMLElement} host @param {number | undefined} cursor undefined: the newest page @param {AbortSignal} signal */
async function show(host, cursor, signal) {
  const older = part(host, "older", HTMLButtonElement);
  older.disabled = true;
  try {
    const page = await request("get", "/api/v1/audit", { query: { limit: PAGE, cursor }, signal });
    part(host, "audited").append(...page.rows.map(line));
    older.dataset.cursor = String(page.next_cursor ?? "");
    older.hidden = page.next_cursor === null;
  } finally {
    older.disabled = false;
  }
}

/** @param {HTMLElement} host @param {AbortSignal} signal */
async function check(host, signal) {
  const { holds, broken_at } = await request("get", "/api/v1/audit/check", { signal });
  const chain = part(host, "chain");
  chain.className = holds ? "chain small" : "chain message";
  showText(chain, holds
    ? "Every row is as it was written. Rows cut off at the end are found only with a stored seal (python -m admin audit --seal)."
    : `The audit is broken: row ${broken_at} is missing or was changed. Keep this database as it is and see docs/operations.md.`);
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").PeopleStore} */ store, life) => {
  const details = part(host, "audit", HTMLDetailsElement);
  const older = part(host, "older", HTMLButtonElement);
  const load = (/** @type {number | undefined} */ cursor) => attempt(store, () => show(host, cursor, life));
  const opened = async () => {
    if (!details.open || part(host, "audited").childElementCount) return; // reload the page to read newer rows
    if (await load(undefined)) await attempt(store, () => check(host, life));
  };
  details.addEventListener("toggle", opened, { signal: life });
  older.addEventListener("click", () => load(Number(older.dataset.cursor)), { signal: life });
  store.watch(({ me }) => Boolean(me && isManager(me)), (manager) => (host.hidden = !manager), life);
  life.addEventListener("abort", () => {
    details.open = false;
    part(host, "audited").replaceChildren();
    part(host, "chain").hidden = true;
  }, { once: true });
});
