// The page of one slide.
import { part } from "../shared/dom.js";
import { mountAll } from "../shared/panel.js";
import { isSignedIn, signInAddress, signInByLink } from "../shared/signin.js";
import { parse } from "./link/address.js";
import { followAddress } from "./link/follow.js";
import * as analysis from "./panels/analysis.js";
import * as angles from "./panels/angles.js";
import * as banner from "./panels/banner.js";
import * as evaluation from "./panels/evaluation.js";
import * as facts from "./panels/facts.js";
import * as keyboard from "./panels/keyboard.js";
import * as layers from "./panels/layers.js";
import * as missing from "./panels/missing.js";
import * as problem from "./panels/problem.js";
import * as regions from "./panels/regions.js";
import * as stage from "./panels/stage.js";
import * as tissue from "./panels/tissue.js";
import { createViewerStore, openSlide, report } from "./state.js";

const PANELS = { analysis, angles, banner, evaluation, facts, keyboard, layers, missing, problem, regions, stage, tissue };

export const store = createViewerStore(location.pathname.split("/").pop() ?? "", parse(location.hash));
window.quarterturn = { get viewer() { return store.get().viewer; } };

const signInError = await signInByLink();
store.set({ error: signInError });
if (signInError && !(await isSignedIn())) {
  problem.mount(part(document, "error"), store); // the other panels' requests would lead away from the reason
  part(document, "home", HTMLAnchorElement).href = signInAddress();
  part(document, "state").textContent = "Sign in on the page “Slides”.";
} else {
  followAddress(part(document, "notice"), store, new AbortController().signal);
  mountAll(document, PANELS, store);
  openSlide(store).catch((error) => report(store, error));
}
store.watch((state) => state.slide, (slide) => {
  if (!slide) return;
  document.title = `${slide.filename} · Quarterturn`;
  part(document, "name").textContent = slide.filename;
}, new AbortController().signal);
