// People who sign in with a name and a password, for administrators.
import { isManager, request } from "../../shared/http.js";
import { part, showText } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { day } from "../../shared/words.js";
import { ROLES, attempt, failure, roleLabel } from "../state.js";
import { button, line, offerRoles, onSubmit } from "../table.js";

/** @typedef {import("../../shared/types").Person} Person */
/** @typedef {import("../state.js").PeopleStore} PeopleStore */

/** @param {HTMLElement} host @param {PeopleStore} store @param {AbortSignal} life */
async function show(host, store, life) {
  const people = await request("get", "/api/v1/people", { signal: life });
  part(host, "people").replaceChildren(...people.map((person) => row(host, store, person, life)));
  part(host, "no-people").hidden = people.length > 0;
}

/** @param {HTMLElement} host @param {PeopleStore} store @param {Person} person @param {AbortSignal} life */
function row(host, store, person, life) {
  const { id, login } = person;
  const remove = async () => {
    if (!confirm(`${login} will no longer be able to sign in. The audit keeps what ${login} did. Remove ${login}?`)) return;
    const removed = await attempt(store, async () => {
      await request("delete", "/api/v1/people/{person_id}", { path: { person_id: id }, signal: life });
      await show(host, store, life);
    });
    if (removed) part(host, "login").focus();
  };
  const cells = [login, roleLabel(person.role), day(person.created_at, "")];
  return line(cells, id === store.get().me?.person_id ? [] : [
    button("Set password", `Set a password for ${login}`, () => openReset(host, person)),
    button("Remove", `Remove ${login}`, remove),
  ]);
}

/** @param {HTMLElement} host @param {Person} person */
function openReset(host, { id, login }) {
  const dialog = part(host, "reset", HTMLDialogElement);
  Object.assign(dialog.dataset, { person: id, login });
  part(host, "reset-title").textContent = `New password for ${login}`;
  showText(part(host, "reset-error"), "");
  dialog.showModal();
}

/** @param {HTMLElement} host @param {PeopleStore} store @param {AbortSignal} life */
function watchReset(host, store, life) {
  const dialog = part(host, "reset", HTMLDialogElement);
  const password = part(host, "reset-password", HTMLInputElement);
  dialog.addEventListener("close", () => (password.value = ""), { signal: life });
  part(host, "reset-cancel").addEventListener("click", () => dialog.close(), { signal: life });
  onSubmit(part(host, "reset-form", HTMLFormElement), async () => {
    const { person = "", login } = dialog.dataset;
    try {
      await request("put", "/api/v1/people/{person_id}/password", { path: { person_id: person }, body: { password: password.value }, signal: life });
      dialog.close();
      store.set({ error: "", done: `${login} has a new password.` });
    } catch (error) {
      showText(part(host, "reset-error"), failure(error));
    }
  }, life);
  life.addEventListener("abort", () => dialog.close(), { once: true });
}

/** @param {HTMLElement} host @param {PeopleStore} store @param {AbortSignal} life */
function watchAdd(host, store, life) {
  const role = part(host, "person-role", HTMLSelectElement);
  const form = part(host, "add", HTMLFormElement);
  offerRoles(role, ROLES, "analyst");
  onSubmit(form, () => attempt(store, async () => {
    const body = {
      login: part(host, "login", HTMLInputElement).value,
      role: /** @type {import("../state.js").Role} */ (role.value),
      password: part(host, "password", HTMLInputElement).value,
    };
    await request("post", "/api/v1/people", { body, signal: life });
    form.reset();
    await show(host, store, life);
    part(host, "login").focus();
  }), life);
}

export const { mount, unmount } = panel((host, /** @type {PeopleStore} */ store, life) => {
  watchAdd(host, store, life);
  watchReset(host, store, life);
  store.watch(({ me }) => Boolean(me && isManager(me)), (manager, current) => {
    host.hidden = !manager;
    if (manager) attempt(store, () => show(host, store, current));
  }, life);
  life.addEventListener("abort", () => part(host, "people").replaceChildren(), { once: true });
});
