// One slide: deep zoom, its analysis, and the heat map over it.
import { Refusal, element, get, post, say } from "../shared/http.js";
import { useLink } from "../shared/signin.js";
import { showEvaluation } from "./evaluation.js";
import { HeatMap } from "./heatmap.js";
import { Layers } from "./layers.js";
import { chosenNetwork, familiar, offerNetworks, selfTest } from "./networks.js";
import { measure } from "./profile.js";
import { Regions } from "./regions.js";
import { drawScale } from "./scalebar.js";
import { tileSource } from "./tilesource.js";

const slideId = location.pathname.split("/").pop() ?? "";
const ANGLES = element("angle-text").textContent;
/** @type {Layers} */
let layers;
/** @type {any} */
let analysis = null;
/** @type {EventSource | null} */
let events = null;
/** @type {{ row: number, col: number, score: number | null } | null} */
let pointed = null;

/** @param {unknown} error */
function tell(error) {
  if (error instanceof Refusal && error.status === 401) location.href = "/";
  say(element("error"), `${/** @type {Error} */ (error).message}.`);
}

/** @param {any} tiles */
function open(tiles) {
  const viewer = OpenSeadragon({
    element: element("slide"),
    prefixUrl: "/libraries/openseadragon/images/",
    tileSources: /** @type {any} */ (tileSource(tiles)),
    drawer: "canvas",
    showNavigator: true,
    navigatorBackground: "#ebe8f1",
    navigatorOpacity: 1,
    navigatorBorderColor: "#b9aede",
    showNavigationControl: false,
    maxZoomPixelRatio: 4,
    visibilityRatio: 0.4,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    crossOriginPolicy: false,
  });
  viewer.addHandler("canvas-key", (event) => {
    const key = /** @type {KeyboardEvent} */ (event.originalEvent).key;
    if (/^[a-zA-Z]$/.test(key)) event.preventDefaultAction = true; // ours, see below
  });
  const scale = () => {
    const image = viewer.world.getItemAt(0);
    if (image && tiles.mpp_x) drawScale(element("scale"), tiles.mpp_x / image.viewportToImageZoom(viewer.viewport.getZoom(true)));
  };
  viewer.addHandler("update-viewport", scale);
  viewer.addHandler("open-failed", () => tell(new Error("the slide's tiles cannot be shown")));
  for (const name of ["pointermove", "pointerdown"]) {
    element("slide").addEventListener(name, (event) => point(viewer, /** @type {PointerEvent} */ (event)), true);
  }
  element("slide").addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") element("pointer").hidden = true; // a finger that was lifted still points
  });
  window.quarterturn = { viewer };
  return viewer;
}

/** The button names the cell that it would measure. */
function offerCell() {
  const button = /** @type {HTMLButtonElement} */ (element("measure"));
  button.disabled = !pointed || pointed.score === null;
  button.textContent = button.disabled ? "Measure a cell" : `Measure cell (${pointed?.row}, ${pointed?.col})`;
}

/** Score against angle of the cell pointed at or tapped last. */
function measureCell() {
  const measured = analysis;
  if (!measured || !pointed || pointed.score === null) return;
  measure(measured.id, pointed, () => analysis === measured).catch(tell);
}

/** @param {import("openseadragon").Viewer} viewer @param {PointerEvent} event */
function point(viewer, event) {
  const image = viewer.world.getItemAt(0);
  if (!image) return;
  const box = element("slide").getBoundingClientRect();
  const place = image.viewerElementToImageCoordinates(new OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top));
  pointed = layers.at(place.x, place.y);
  const told = layers.tell(pointed);
  say(element("pointer"), `${Math.round(place.x)}, ${Math.round(place.y)} px${told && " · "}${told}`);
  offerCell();
}

/** @param {Regions} regions */
async function showResults(regions) {
  const shown = analysis;
  const [loaded, found] = await Promise.all([HeatMap.load(shown.id), get(`/analyses/${shown.id}/regions`)]);
  if (analysis !== shown) return; // another was asked for meanwhile
  layers.show(analysis, loaded);
  regions.show(found);
  const base = `/api/v1/analyses/${analysis.id}`;
  for (const [id, path] of Object.entries({
    geojson: "regions.geojson", "geojson-bounds": "regions.geojson?origin=bounds", csv: "regions.csv", npy: "heatmap",
  })) {
    const link = /** @type {HTMLAnchorElement} */ (element(id));
    link.href = `${base}/${path}`;
    link.download = id === "npy" ? "heatmap.npy" : id.startsWith("geojson") ? "regions.geojson" : "regions.csv";
  }
  for (const id of ["layer", "found", "angles"]) element(id).hidden = false;
  await showEvaluation(shown.id, regions, () => analysis === shown);
}

/** What was done, in sentences that claim no more than was measured. */
function showFacts() {
  const { coverage, rotation_check: check } = analysis.results;
  element("facts").hidden = false;
  element("coverage").textContent =
    `${coverage.analysed_mm2.toFixed(2)} mm² analysed of ${coverage.tissue_mm2.toFixed(2)} mm² ` +
    `${analysis.settings.tissue === "auto" ? "tissue" : "slide"}` +
    (coverage.unreadable_cells ? `; ${coverage.unreadable_cells} cells could not be read.` : ".");
  element("selftest").textContent = selfTest(check);
  element("familiarity").textContent = familiar(analysis.results.familiarity);
  const made = analysis.provenance;
  if (made) element("provenance").textContent = `${made.model}, weights ${made.weights_sha256.slice(0, 12)}, ${made.backend} ${made.precision}.`;
}

function showBanner() {
  const notes = analysis?.results?.scope_notes ?? [];
  const banner = element("banner");
  banner.replaceChildren(...notes.map((/** @type {any} */ note) => Object.assign(document.createElement("p"), { textContent: note.sentence })));
  banner.hidden = !notes.length;
}

/** @param {number | null} seconds */
function left(seconds) {
  if (seconds === null) return "";
  return seconds < 90 ? `, about ${Math.max(1, Math.round(seconds))} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

function showState() {
  const state = analysis?.state ?? "none";
  const active = state === "queued" || state === "running";
  const bar = /** @type {HTMLProgressElement} */ (element("progress"));
  const { done, total, seconds_left } = analysis?.progress ?? { done: 0, total: 1, seconds_left: null };
  bar.hidden = !active;
  bar.max = Math.max(1, total);
  bar.value = done;
  element("cancel").hidden = !active;
  element("analyse").hidden = active;
  /** @type {HTMLButtonElement} */ (element("analyse")).disabled = false; // until here nobody listens
  element("choices").hidden = active;
  element("analyse").textContent = analysis ? "Analyse again" : "Analyse";
  element("retry").hidden = !["failed", "cancelled"].includes(state);
  const reason = analysis?.reason ?? analysis?.withheld;
  const because = reason ? ` ${[reason.detail, reason.action].filter(Boolean).join("; ")}.` : "";
  element("state").textContent = {
    none: "Not analysed yet.",
    queued: "Waiting for a worker.",
    running: `Running: ${done} of ${total} parts${left(seconds_left)}.`,
    succeeded: analysis?.withheld ? `Results withheld:${because}` : "Done. Preliminary.",
    failed: `Failed:${because}`,
    cancelled: "Cancelled.",
  }[/** @type {string} */ (state)] ?? state;
  showBanner();
}

/**
 * What another analysis showed must not stand beside this one's state.
 * @param {Regions} regions
 */
function clearResults(regions) {
  layers.clear();
  pointed = null;
  offerCell();
  element("angle-text").textContent = ANGLES;
  regions.clear();
  for (const id of ["layer", "found", "evaluation", "facts", "angles", "profile"]) element(id).hidden = true;
  element("pointer").hidden = true;
}

/** @param {Regions} regions */
function follow(regions) {
  events?.close();
  clearResults(regions);
  showState();
  const settle = async () => {
    showState();
    if (analysis.state !== "succeeded") return;
    showFacts();
    if (!analysis.withheld) await showResults(regions);
  };
  if (!["queued", "running"].includes(analysis.state)) return settle();
  events = new EventSource(`/api/v1/analyses/${analysis.id}/events`);
  events.addEventListener("analysis", async (event) => {
    analysis = JSON.parse(event.data);
    showState();
    if (["queued", "running"].includes(analysis.state)) return;
    events?.close();
    await settle().catch(tell);
  });
  return undefined;
}

/** @param {Regions} regions */
function listen(regions) {
  const act = (/** @type {() => Promise<any>} */ action) => async () => {
    say(element("error"), "");
    try {
      analysis = await action();
      await follow(regions);
    } catch (error) {
      tell(error);
    }
  };
  const tissue = () => (/** @type {HTMLInputElement} */ (element("all")).checked ? "all" : "auto");
  element("analyse").addEventListener("click", act(() => post(`/slides/${slideId}/analyses`, { tissue: tissue(), ...chosenNetwork() })));
  element("cancel").addEventListener("click", act(() => post(`/analyses/${analysis.id}/cancel`)));
  element("retry").addEventListener("click", act(() => post(`/analyses/${analysis.id}/retry`)));
  element("measure").addEventListener("click", measureCell);
  element("kind").addEventListener("input", () => layers.choose().catch(tell));
  element("help").addEventListener("click", () => /** @type {HTMLDialogElement} */ (element("keys")).showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    const action = {
      h: () => layers.toggle(),
      n: () => regions.step(1),
      b: () => regions.step(-1),
      p: () => event.repeat || measureCell(),
      "?": () => element("help").click(),
    }[event.key.toLowerCase()];
    action?.();
  });
}

async function main() {
  await useLink();
  const [slide, tiles, analyses] = await Promise.all([
    get(`/slides/${slideId}`), get(`/slides/${slideId}/tiles`), get(`/slides/${slideId}/analyses`),
  ]);
  document.title = `${slide.filename} · Quarterturn`;
  element("name").textContent = slide.filename;
  const viewer = open(tiles);
  layers = new Layers(viewer);
  const regions = new Regions(viewer);
  listen(regions);
  offerNetworks().catch(tell);
  viewer.addOnceHandler("open", () => {
    analysis = analyses.find((/** @type {any} */ one) => one.state !== "cancelled") ?? analyses[0] ?? null;
    showState();
    if (analysis) Promise.resolve(follow(regions)).catch(tell);
  });
}

main().catch(tell);
