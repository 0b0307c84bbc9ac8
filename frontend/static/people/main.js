// The page of people, keys and the audit, and of the visitor's own password.
import { isManager, request } from "../shared/http.js";
import { mountAll } from "../shared/panel.js";
import * as audit from "./panels/audit.js";
import * as keys from "./panels/keys.js";
import * as notices from "./panels/notices.js";
import * as password from "./panels/password.js";
import * as people from "./panels/people.js";
import { attempt, createPeopleStore } from "./state.js";

export const store = createPeopleStore();
mountAll(document, { audit, keys, notices, password, people }, store);
await attempt(store, async () => {
  const me = await request("get", "/api/v1/session");
  if (!isManager(me) && me.person_id) document.title = "Your password · Quarterturn";
  if (!isManager(me) && !me.person_id) throw new Error("people and keys are for administrators");
  store.set({ me });
});
