// API keys, for administrators. A new key is shown once.
import { isManager, request } from "../../shared/http.js";
import { make, part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { day } from "../../shared/words.js";
import { ROLES, SCOPES, attempt, roleLabel, scopeLabel } from "../state.js";
import { button, line, offerRoles, onSubmit } from "../table.js";

/** @typedef {import("../../shared/types").Key} Key */
/** @typedef {import("../state.js").PeopleStore} PeopleStore */

/** @param {HTMLElement} host @param {PeopleStore} store @param {AbortSignal} life */
async function show(host, store, life) {
  const keys = await request("get", "/api/v1/keys", { signal: life });
  part(host, "keys").replaceChildren(...keys.map((key) => row(host, store, key, life)));
  part(host, "no-keys").hidden = keys.length > 0;
}

/** @param {Key} key */
function describeEnd({ revoked, expires_at }) {
  if (revoked) return "revoked";
  const expired = expires_at !== null && new Date(expires_at) < new Date();
  return expired ? `expired ${day(expires_at, "")}` : day(expires_at, "never");
}

/** @param {HTMLElement} host @param {PeopleStore} store @param {Key} key @param {AbortSignal} life */
function row(host, store, key, life) {
  const over = key.revoked || (key.expires_at !== null && new Date(key.expires_at) < new Date());
  const revoke = async () => {
    if (!confirm(`Programs that use the key “${key.name}” lose access at once. Revoke the key?`)) return;
    const revoked = await attempt(store, async () => {
      await request("delete", "/api/v1/keys/{key_id}", { path: { key_id: key.id }, signal: life });
      await show(host, store, life);
    });
    if (revoked) part(host, "key-name").focus();
  };
  const access = key.scopes ? `${key.scopes.map(scopeLabel).join(", ")} only` : roleLabel(key.role);
  const element = line([key.name, access, describeEnd(key), day(key.used_at ?? null, "never")],
    over ? [] : [button("Revoke", `Revoke ${key.name}`, revoke)]);
  element.classList.toggle("over", over);
  return element;
}

/** What the form asks for. @param {HTMLElement} host */
function requestedKey(host) {
  const boxes = /** @type {NodeListOf<HTMLInputElement>} */ (part(host, "scopes").querySelectorAll("input:checked"));
  const scopes = Array.from(boxes, (box) => /** @type {import("../state.js").Scope} */ (box.value));
  const days = part(host, "key-days", HTMLSelectElement).value;
  return {
    name: part(host, "key-name", HTMLInputElement).value,
    role: /** @type {import("../state.js").Role} */ (part(host, "key-role", HTMLSelectElement).value),
    scopes: scopes.length ? scopes : null,
    expires_days: days ? Number(days) : null,
  };
}

/** @param {HTMLElement} host @param {PeopleStore} store @param {AbortSignal} life */
async function create(host, store, life) {
  part(host, "secret").hidden = true;
  part(host, "copy").textContent = "Copy";
  const created = await request("post", "/api/v1/keys", { body: requestedKey(host), signal: life });
  part(host, "secret-text").textContent = created.key ?? "";
  part(host, "secret").hidden = false;
  part(host, "create", HTMLFormElement).reset();
  await show(host, store, life);
  part(host, "copy").focus();
}

/** @param {HTMLElement} host */
async function copy(host) {
  const secret = part(host, "secret-text");
  try {
    await navigator.clipboard.writeText(secret.textContent ?? "");
    part(host, "copy").textContent = "Copied";
  } catch { // without the permission it is selected, to be copied by hand
    getSelection()?.selectAllChildren(secret);
  }
}

/** @param {HTMLElement} host */
function offerScopes(host) {
  const labels = Object.entries(SCOPES).map(([scope, text]) => {
    const label = make("label", "plain");
    label.append(Object.assign(make("input"), { type: "checkbox", value: scope }), text);
    return label;
  });
  const legend = part(host, "scopes").querySelector("legend") ?? "";
  part(host, "scopes").replaceChildren(legend, ...labels);
}

export const { mount, unmount } = panel((host, /** @type {PeopleStore} */ store, life) => {
  offerRoles(part(host, "key-role", HTMLSelectElement), ROLES, "analyst");
  offerScopes(host);
  onSubmit(part(host, "create", HTMLFormElement), () => attempt(store, () => create(host, store, life)), life);
  part(host, "copy").addEventListener("click", () => copy(host), { signal: life });
  store.watch(({ me }) => Boolean(me && isManager(me)), (manager, current) => {
    host.hidden = !manager;
    if (manager) attempt(store, () => show(host, store, current));
  }, life);
  life.addEventListener("abort", () => {
    part(host, "keys").replaceChildren();
    part(host, "secret-text").textContent = "";
    part(host, "secret").hidden = true;
  }, { once: true });
});
