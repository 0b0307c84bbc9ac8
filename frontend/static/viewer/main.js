// The page of one slide.
import { request } from "../shared/http.js";
import { part } from "../shared/dom.js";
import { mountAll } from "../shared/panel.js";
import { signInByLink } from "../shared/signin.js";
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
import { createViewerStore, report } from "./state.js";

const PANELS = { analysis, angles, banner, evaluation, facts, keyboard, layers, missing, problem, regions, stage };

/** Loads the slide of a viewer. @param {import("./state.js").ViewerStore} store */
async function load(store) {
  const path = { slide_id: store.get().slideId };
  const [slide, tiles, analyses] = await Promise.all([
    request("get", "/api/v1/slides/{slide_id}", { path }),
    request("get", "/api/v1/slides/{slide_id}/tiles", { path }),
    request("get", "/api/v1/slides/{slide_id}/analyses", { path }),
  ]);
  document.title = `${slide.filename} · Quarterturn`;
  part(document, "name").textContent = slide.filename;
  store.set({
    tiles: /** @type {import("../shared/types").Tiles} */ (/** @type {unknown} */ (tiles)),
    analysis: analyses.find(({ state }) => state !== "cancelled") ?? analyses[0] ?? null,
    loaded: true,
  });
}

const store = createViewerStore(location.pathname.split("/").pop() ?? "");
window.quarterturn = { get viewer() { return store.get().viewer; } };
await signInByLink();
mountAll(document, PANELS, store);
load(store).catch((error) => report(store, error));
