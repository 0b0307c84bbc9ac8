// The visitor's corner of the header: people and keys, or the own password, and signing out.
import { isManager, request } from "../../shared/http.js";
import { part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { report } from "../state.js";

export const { mount, unmount } = panel((host, /** @type {import("../state.js").SlidesStore} */ store, life) => {
  const people = part(host, "people-link");
  store.watch((state) => state.me, (me) => {
    host.hidden = !me;
    if (!me) return;
    people.hidden = !isManager(me) && !me.person_id;
    people.textContent = isManager(me) ? "People and keys" : "Your password";
  }, life);
  part(host, "sign-out").addEventListener("click", async () => {
    try {
      await request("delete", "/api/v1/session", { signal: life });
      location.reload();
    } catch (error) {
      report(store, error, "Signing out failed");
    }
  }, { signal: life });
});
