// What was done last, and what failed.
import { part, showText } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";

export const { mount, unmount } = panel((host, /** @type {import("../state.js").PeopleStore} */ store, life) => {
  const error = part(host, "error");
  store.watch((state) => state.error, (text) => {
    showText(error, text);
    if (text) error.scrollIntoView({ block: "nearest" });
  }, life);
  store.watch((state) => state.done, (text) => showText(part(host, "done"), text), life);
});
