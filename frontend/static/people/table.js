// Rows, buttons and forms that the page's panels share.
import { make } from "../shared/dom.js";

/** @param {string[]} cells @param {HTMLElement[]} buttons */
export function line(cells, buttons) {
  const row = make("tr");
  const last = make("td", "actions");
  last.append(...buttons);
  row.append(...cells.map((text) => make("td", "", text)), last);
  return row;
}

/** @param {string} label @param {string} about the label for screen readers @param {() => void} action */
export function button(label, about, action) {
  const element = make("button", "", label);
  element.setAttribute("aria-label", about);
  element.addEventListener("click", action);
  return element;
}

/** Fills a choice of roles. @param {HTMLSelectElement} select @param {Record<string, string>} roles @param {string} chosen */
export function offerRoles(select, roles, chosen) {
  select.replaceChildren(...Object.entries(roles).map(([role, label]) => new Option(label, role, role === chosen, role === chosen)));
}

/**
 * Runs an action when a form is submitted. Its button is disabled meanwhile.
 * @param {HTMLFormElement} form @param {() => Promise<unknown>} action @param {AbortSignal} life
 */
export function onSubmit(form, action, life) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    send.disabled = true;
    await action();
    send.disabled = false;
  }, { signal: life });
}
