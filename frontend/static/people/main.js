// People and keys, for administrators; one's own password, for everybody who has one.
import { watchAudit } from "./audit.js";
import { Refusal, administersAll, call, element, get, make, post, say } from "../shared/http.js";

const ROLES = /** @type {Record<string, string>} */ ({
  viewer: "look", analyst: "look, send and analyse", admin: "everything",
});
const SCOPES = /** @type {Record<string, string>} */ ({
  read: "read", upload: "send slides", analyse: "analyse", manage: "manage",
});

/** @param {string} id */
const field = (id) => /** @type {HTMLInputElement} */ (element(id));

/** @param {string | null} at @param {string} otherwise */
const day = (at, otherwise) => (at ? new Date(at).toLocaleDateString(undefined, { dateStyle: "medium" }) : otherwise);

/** What was asked; its refusal as a sentence. @param {() => Promise<unknown>} action @returns {Promise<boolean>} */
async function attempt(action) {
  try {
    await action();
    say(element("error"), "");
    say(element("done"), "");
    return true;
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) location.assign("/");
    say(element("error"), `That did not work: ${/** @type {Error} */ (error).message}.`);
    element("error").scrollIntoView({ block: "nearest" });
    return false;
  }
}

/** @param {string[]} cells @param {HTMLElement[]} buttons */
function line(cells, buttons) {
  const row = make("tr"), last = make("td", "actions");
  last.append(...buttons);
  row.append(...cells.map((text) => make("td", "", text)), last);
  return row;
}

/** @param {string} label @param {string} about @param {() => void} action */
function button(label, about, action) {
  const made = make("button", "", label);
  made.setAttribute("aria-label", about);
  made.addEventListener("click", action);
  return made;
}

let own = "";

async function showPeople() {
  const people = await get("/people");
  element("people").replaceChildren(...people.map(person));
  element("nobody").hidden = people.length > 0;
}

/** @param {any} one */
function person(one) {
  const remove = async () => {
    if (!confirm(`${one.login} will not be able to sign in any more. What ${one.login} did stays told. Remove?`)) return;
    if (await attempt(async () => { await call("DELETE", `/people/${one.id}`); await showPeople(); })) element("login").focus();
  };
  const cells = [one.login, ROLES[one.role] ?? one.role, day(one.created_at, "")];
  return line(cells, one.id === own ? [] : [
    button("Set password", `Set a password for ${one.login}`, () => reset(one)),
    button("Remove", `Remove ${one.login}`, remove),
  ]);
}

/** @param {any} one */
function reset(one) {
  const dialog = /** @type {HTMLDialogElement} */ (element("reset"));
  element("reset-who").textContent = `A new password for ${one.login}`;
  say(element("reset-error"), "");
  dialog.onclose = () => { field("reset-password").value = ""; };
  /** @type {HTMLFormElement} */ (dialog.querySelector("form")).onsubmit = async (event) => {
    event.preventDefault();
    try {
      await call("PUT", `/people/${one.id}/password`, { password: field("reset-password").value });
      dialog.close();
      say(element("done"), `${one.login} has a new password.`);
    } catch (error) {
      say(element("reset-error"), `That did not work: ${/** @type {Error} */ (error).message}.`);
    }
  };
  dialog.showModal();
}

async function showKeys() {
  const keys = await get("/keys");
  element("keys").replaceChildren(...keys.map(key));
  element("no-keys").hidden = keys.length > 0;
}

/** @param {any} one */
function key(one) {
  const over = one.revoked || (one.expires_at && new Date(one.expires_at) < new Date());
  const only = one.scopes?.map((/** @type {string} */ scope) => SCOPES[scope] ?? scope).join(", ");
  const revoke = async () => {
    if (!confirm(`Whatever uses the key “${one.name}” is shut out at once. Revoke it?`)) return;
    if (await attempt(async () => { await call("DELETE", `/keys/${one.id}`); await showKeys(); })) element("key-name").focus();
  };
  const ends = one.revoked ? "revoked" : over ? `ended ${day(one.expires_at, "")}` : day(one.expires_at, "when revoked");
  const row = line([one.name, only ? `${only} only` : ROLES[one.role] ?? one.role, ends, day(one.used_at, "never")],
    over ? [] : [button("Revoke", `Revoke ${one.name}`, revoke)]);
  row.classList.toggle("over", Boolean(over));
  return row;
}

async function makeKey() {
  element("secret").hidden = true;
  element("copy").textContent = "Copy";
  const scopes = [...document.querySelectorAll("#scopes input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);
  const days = field("key-days").value;
  const made = await post("/keys", {
    name: field("key-name").value, role: field("key-role").value,
    scopes: scopes.length ? scopes : null, expires_days: days ? Number(days) : null,
  });
  element("secret-text").textContent = made.key;
  element("secret").hidden = false;
  /** @type {HTMLFormElement} */ (element("make")).reset();
  await showKeys();
  element("copy").focus();
}

/** @param {string} form @param {() => Promise<unknown>} action */
function onSubmit(form, action) {
  element(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = /** @type {HTMLButtonElement} */ (element(form).querySelector("button"));
    send.disabled = true;
    await attempt(action);
    send.disabled = false;
  });
}

function fillChoices() {
  for (const id of ["person-role", "key-role"]) {
    element(id).append(...Object.entries(ROLES).map(([role, told]) => new Option(told, role, role === "analyst", role === "analyst")));
  }
  for (const [scope, told] of Object.entries(SCOPES)) {
    const label = make("label", "plain"), box = document.createElement("input");
    Object.assign(box, { type: "checkbox", value: scope });
    label.append(box, told);
    element("scopes").append(label);
  }
}

/** @param {string} personId */
function watchOwn(personId) {
  onSubmit("change", async () => {
    await call("PUT", `/people/${personId}/password`, { current: field("current").value, password: field("new").value });
    location.assign("/");
  });
}

function watchAdministration() {
  fillChoices();
  onSubmit("add", async () => {
    await post("/people", { login: field("login").value, role: field("person-role").value, password: field("password").value });
    /** @type {HTMLFormElement} */ (element("add")).reset();
    await showPeople();
    element("login").focus();
  });
  onSubmit("make", makeKey);
  watchAudit(attempt);
  element("reset-leave").addEventListener("click", () => /** @type {HTMLDialogElement} */ (element("reset")).close(""));
  element("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(element("secret-text").textContent ?? "");
      element("copy").textContent = "Copied";
    } catch { // not allowed here: selected, to be copied by hand
      getSelection()?.selectAllChildren(element("secret-text"));
    }
  });
}

await attempt(async () => {
  const me = await get("/session");
  const administers = administersAll(me);
  own = me.person_id ?? "";
  element("own").hidden = !me.person_id;
  element("administration").hidden = !administers;
  if (me.person_id) watchOwn(me.person_id);
  if (!administers && me.person_id) document.title = "Your password · Quarterturn";
  if (!administers && !me.person_id) throw new Error("people and keys are for administrators");
  if (!administers) return;
  watchAdministration();
  await Promise.all([showPeople(), showKeys()]);
});
element("content").hidden = false;
