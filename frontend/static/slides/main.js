// The page of all slides: signing in, uploads, the worklist.
import { Refusal, request } from "../shared/http.js";
import { mountAll } from "../shared/panel.js";
import { returnAddress, signInByLink } from "../shared/signin.js";
import { capitalised, message } from "../shared/words.js";
import * as signin from "./panels/signin.js";
import * as uploads from "./panels/uploads.js";
import * as visitor from "./panels/visitor.js";
import * as worklist from "./panels/worklist.js";
import { createSlidesStore } from "./state.js";

export const store = createSlidesStore();
mountAll(document, { signin, uploads, visitor, worklist }, store);
const signInError = await signInByLink();
try {
  const me = await request("get", "/api/v1/session");
  if (returnAddress()) location.replace(returnAddress());
  else store.set({ signInError, me });
} catch (error) {
  const expected = error instanceof Refusal && error.status === 401;
  store.set({ me: null, signInError: expected ? signInError : `${capitalised(message(error))}.` });
}
