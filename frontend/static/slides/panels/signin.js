// The form to sign in with a name and a password, or with an API key.
import { request } from "../../shared/http.js";
import { part, showText } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { capitalised, message } from "../../shared/words.js";

export const { mount, unmount } = panel((host, /** @type {import("../state.js").SlidesStore} */ store, life) => {
  const error = part(host, "sign-in-error");
  store.watch((state) => state.me === null, (signedOut) => (host.hidden = !signedOut), life);
  store.watch((state) => state.signInError, (text) => showText(error, text), life);
  host.addEventListener("submit", async (event) => {
    event.preventDefault();
    const login = part(host, "login", HTMLInputElement).value.trim();
    const secret = part(host, "key", HTMLInputElement).value;
    try {
      await request("post", "/api/v1/session", { body: login ? { login, password: secret } : { key: secret.trim() }, signal: life });
      location.reload();
    } catch (refusal) {
      store.set({ signInError: `${capitalised(message(refusal))}.` });
    }
  }, { signal: life });
});
