// The heat map over the slide and its controls: scores, or how unlike the training patches the tissue is.
import { names, table } from "../../shared/colormaps.js";
import { make, part, pen } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { percent } from "../../shared/words.js";
import { HeatMap } from "../heatmap.js";
import { cost, presetsOf } from "../presets.js";
import { QUANTITIES } from "../quantities.js";
import { displayed, report, shownResults } from "../state.js";

/** @typedef {import("../state.js").ViewerStore} ViewerStore */
/** @typedef {keyof typeof QUANTITIES} Quantity */

/** @param {HTMLElement} host */
const controls = (host) => ({
  opacity: part(host, "opacity", HTMLInputElement),
  threshold: part(host, "threshold", HTMLInputElement),
  colours: part(host, "colours", HTMLSelectElement),
  kind: part(host, "kind", HTMLSelectElement),
});

/** @param {HTMLCanvasElement} canvas @param {string} colours @param {number} lowest in [0, 1]; values below it are pale */
function drawLegend(canvas, colours, lowest) {
  const context = pen(canvas);
  const picture = context.createImageData(256, 1);
  const lut = table(colours);
  for (let i = 0; i < 256; i++) {
    const value = Math.min(254, i);
    picture.data.set([lut[3 * value], lut[3 * value + 1], lut[3 * value + 2], value / 254 < lowest ? 40 : 255], 4 * i);
  }
  context.putImageData(picture, 0, 0);
}

/**
 * The card that calibrated the scores: another card of the same name has other thresholds and costs.
 * An analysis names it from its first claim on. Other layers have none.
 * @param {import("../state.js").ViewerState} state
 */
function cardOfScores({ cards, analysis, layer }) {
  const digest = analysis?.provenance?.card_sha256;
  return layer === "score" && digest ? cards.find(({ provenance }) => provenance.card_sha256 === digest) : undefined;
}

/** Says what a threshold costs where it is a preset's. @param {HTMLElement} host @param {ViewerStore} store @param {number} threshold */
function explainThreshold(host, store, threshold) {
  const chosen = presetsOf(cardOfScores(store.get())).find(([, preset]) => preset.threshold === threshold);
  part(host, "presets-cost").hidden = !chosen;
  const own = shownResults(store.get().analysis)?.threshold;
  const listed = own === undefined || own === threshold ? "" : ` The regions listed are those from ${own}.`;
  part(host, "presets-cost").textContent = chosen ? `${cost(chosen[1])}${listed}` : "";
}

/** Offers a button for each preset. @param {HTMLElement} host @param {ViewerStore} store */
function offerPresets(host, store) {
  const offered = presetsOf(cardOfScores(store.get()));
  part(host, "presets").hidden = !offered.length;
  part(host, "presets").replaceChildren(...offered.map(([name, { threshold }]) => {
    const button = make("button");
    button.append(make("span", "", name), " ", make("span", "", String(threshold)));
    button.value = String(threshold);
    button.addEventListener("click", () => {
      store.set({ threshold });
      paint(host, store);
    });
    return button;
  }));
  paint(host, store);
}

/** Draws the controls and the layer as they are set. @param {HTMLElement} host @param {ViewerStore} store */
function paint(host, store) {
  const { opacity, threshold, colours } = controls(host);
  const { heat, layer, analysis, threshold: limit } = store.get();
  if (limit !== null) threshold.value = String(limit);
  const lowest = limit ?? Number(threshold.value); // the slider rounds
  part(host, "opacity-value").textContent = percent(Number(opacity.value));
  part(host, "threshold-value").textContent = lowest.toFixed(2);
  [part(host, "legend-low").textContent, part(host, "legend-high").textContent] = QUANTITIES[layer].ends;
  part(host, "kind-about").textContent = QUANTITIES[layer].about(shownResults(analysis));
  drawLegend(part(host, "legend", HTMLCanvasElement), colours.value, lowest);
  for (const button of part(host, "presets").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.value) === lowest));
  }
  explainThreshold(host, store, lowest);
  if (!heat) return;
  heat.canvas.style.opacity = opacity.value;
  heat.draw(colours.value, lowest);
}

/**
 * Loads each quantity of one analysis when it is first chosen, and keeps it. The first is that of the viewer's link.
 * @param {HTMLElement} host @param {ViewerStore} store @param {import("../state.js").Analysis} analysis @param {AbortSignal} life
 */
function offer(host, store, analysis, life) {
  const { kind } = controls(host);
  const results = shownResults(analysis);
  /** @type {Map<Quantity, HeatMap>} */
  const loaded = new Map();
  /** @param {Quantity} layer @param {import("../link/address.js").Link} link */
  const choose = async (layer, { threshold, heat: heatVisible = true }) => {
    kind.value = layer;
    const heat = loaded.get(layer) ?? (await HeatMap.load(analysis.id, layer, life));
    loaded.set(layer, heat);
    if (kind.value !== layer) return; // another was chosen meanwhile
    const { pointer, cell, heat: former } = store.get();
    store.set({
      heat, layer, heatVisible, threshold: threshold ?? QUANTITIES[layer].start(results),
      cell: pointer ? heat.at(pointer.x, pointer.y) : cell,
    });
    if (heat === former) paint(host, store); // another threshold of the layer that lies there
    host.hidden = false;
  };
  const tryToChoose = (/** @type {Quantity} */ layer, /** @type {import("../link/address.js").Link} */ link) =>
    choose(layer, link).catch((error) => {
      kind.value = store.get().layer; // the layer that still lies there
      report(store, error);
    });
  part(host, "kind-choice").hidden = !results?.familiarity;
  kind.addEventListener("input", () => tryToChoose(/** @type {Quantity} */ (kind.value), {}), { signal: life });
  store.watch((state) => state.link, (link) => tryToChoose((results?.familiarity && link.layer) || "score", link), life);
}

export const { mount, unmount } = panel((host, /** @type {ViewerStore} */ store, life) => {
  const { opacity, threshold, colours } = controls(host);
  colours.replaceChildren(...names.map((name) => new Option(name)));
  for (const control of [opacity, colours]) control.addEventListener("input", () => paint(host, store), { signal: life });
  threshold.addEventListener("input", () => {
    store.set({ threshold: Number(threshold.value) });
    paint(host, store);
  }, { signal: life });
  store.watch(displayed, (analysis, current) => {
    host.hidden = true;
    if (analysis) offer(host, store, analysis, current);
  }, life);
  store.watch((state) => (state.viewer ? state.heat : null), (heat, current) => {
    const { viewer, heatVisible } = store.get();
    if (heat && viewer) {
      heat.layOver(viewer, current);
      heat.canvas.hidden = !heatVisible; // a layer chosen earlier may have been hidden when another took its place
    }
    paint(host, store);
  }, life);
  store.watch(cardOfScores, () => offerPresets(host, store), life);
  store.watch((state) => state.heatVisible, (visible) => {
    const { heat } = store.get();
    if (heat) heat.canvas.hidden = !visible;
  }, life);
});
