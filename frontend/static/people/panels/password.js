// The visitor's own password.
import { address, request } from "../../shared/http.js";
import { part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { attempt } from "../state.js";
import { onSubmit } from "../table.js";

export const { mount, unmount } = panel((host, /** @type {import("../state.js").PeopleStore} */ store, life) => {
  store.watch((state) => state.me?.person_id, (id) => (host.hidden = !id), life);
  onSubmit(part(host, "change", HTMLFormElement), () => attempt(store, async () => {
    const body = { current: part(host, "current", HTMLInputElement).value, password: part(host, "new", HTMLInputElement).value };
    await request("put", "/api/v1/people/{person_id}/password", { path: { person_id: store.get().me?.person_id ?? "" }, body, signal: life });
    location.assign(address("/")); // the change has ended this session too
  }), life);
});
