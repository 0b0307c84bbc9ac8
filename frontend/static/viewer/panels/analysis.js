// The state of the slide's analysis, and the requests that start, cancel and retry one.
import { Refusal, address, isAbort, request } from "../../shared/http.js";
import { part } from "../../shared/dom.js";
import { panel, pause } from "../../shared/panel.js";
import { explain } from "../../shared/words.js";
import { cost, presetsOf } from "../presets.js";
import { isActive, report, showAnalysis } from "../state.js";

/** @typedef {import("../state.js").Analysis} Analysis */
/** @typedef {import("../../shared/types").Card} Card */

const FOLLOW_AGAIN_MS = 3000;

/** @param {number | null} seconds */
function remaining(seconds) {
  if (seconds === null) return "";
  return seconds < 90 ? `, about ${Math.max(1, Math.round(seconds))} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

/** @param {Analysis | null} analysis */
function describeState(analysis) {
  if (!analysis) return "Not analysed yet.";
  const { done, total, seconds_left } = analysis.progress;
  const reason = analysis.reason ?? analysis.withheld;
  const because = reason ? ` ${explain(reason)}.` : "";
  return {
    queued: "Waiting for a worker.",
    running: `Running: ${done} of ${total} parts${remaining(seconds_left)}.`,
    succeeded: analysis.withheld ? `Results withheld:${because}` : "Done. Preliminary.",
    failed: `Failed:${because}`,
    cancelled: "Cancelled.",
  }[analysis.state];
}

/**
 * @param {HTMLElement} host @param {Analysis | null} analysis
 * @param {import("../../shared/types").Reason | null | undefined} refusal  why the slide is not analysed
 */
function show(host, analysis, refusal) {
  const active = isActive(analysis);
  const bar = part(host, "progress", HTMLProgressElement);
  bar.hidden = !active;
  bar.max = Math.max(1, analysis?.progress.total ?? 1);
  bar.value = analysis?.progress.done ?? 0;
  part(host, "cancel").hidden = !active;
  const start = part(host, "analyse", HTMLButtonElement);
  start.hidden = active;
  start.disabled = Boolean(refusal);
  start.textContent = refusal ? "Not analysed" : analysis ? "Analyse again" : "Analyse";
  part(host, "choices").hidden = active;
  part(host, "retry").hidden = !analysis || !["failed", "cancelled"].includes(analysis.state);
  part(host, "state").textContent = refusal && !analysis ? `${explain(refusal)}.` : describeState(analysis);
}

/** Shows a newer state of the analysis that is followed. @param {import("../state.js").ViewerStore} store @param {Analysis} analysis */
const update = (store, analysis) => (isActive(analysis) ? store.set({ analysis }) : showAnalysis(store, analysis));

/**
 * Passes each progress event on. Settles when the browser gives the stream up: it connects again by itself after a lost
 * connection, but never after a refusal (401, 429, 503).
 * @param {string} id @param {(analysis: Analysis) => void} receive @param {AbortSignal} life rejects with its reason
 * @returns {Promise<void>}
 */
const stream = (id, receive, life) => new Promise((resolve, reject) => {
  const events = new EventSource(address(`/api/v1/analyses/${id}/events`));
  events.addEventListener("analysis", (event) => receive(JSON.parse(event.data)));
  events.addEventListener("error", () => events.readyState === EventSource.CLOSED && resolve());
  life.addEventListener("abort", () => (events.close(), reject(life.reason)), { once: true });
});

/** Whether a later request may succeed. @param {unknown} error */
const isPassing = (error) => error instanceof Refusal && (error.status === 0 || error.status === 429 || error.status >= 500);

/**
 * Follows an active analysis until `life` aborts, which it does when the analysis ends.
 * @param {import("../state.js").ViewerStore} store @param {string} id @param {AbortSignal} life
 */
async function follow(store, id, life) {
  let refused = false;
  const receive = (/** @type {Analysis} */ analysis) => {
    if (refused) store.set({ error: "" });
    refused = false;
    update(store, analysis);
  };
  for (;; await pause(FOLLOW_AGAIN_MS, life)) {
    await stream(id, receive, life);
    try {
      receive(await request("get", "/api/v1/analyses/{analysis_id}", { path: { analysis_id: id }, signal: life }));
    } catch (error) {
      if (isAbort(error) || !isPassing(error)) throw error;
      report(store, error);
      refused = true;
    }
  }
}

/** Lists the networks that live workers offer. @param {HTMLElement} host @param {import("../state.js").ViewerStore} store @param {AbortSignal} life */
async function offerNetworks(host, store, life) {
  const { models, default: preferred } = await request("get", "/api/v1/models", { signal: life });
  const select = part(host, "network", HTMLSelectElement);
  const option = (/** @type {import("../../shared/types").Card} */ card) =>
    new Option(card.name, card.name, card.name === preferred, card.name === preferred);
  const comparison = document.createElement("optgroup");
  comparison.label = "For comparison only";
  comparison.append(...models.filter((card) => card.purpose === "comparison").map(option));
  select.replaceChildren(...models.filter((card) => card.purpose !== "comparison").map(option));
  if (comparison.children.length) select.append(comparison);
  if (!models.some((card) => card.name === preferred)) {
    select.prepend(new Option(`${preferred} (no worker offers it now)`, "", true, true));
  }
  part(host, "network-choice").hidden = select.options.length < 2;
  store.set({ cards: models });
  offerPresets(host, store.get().cards);
}

/** The card of the chosen network. @param {HTMLElement} host @param {Card[]} cards */
const chosenCard = (host, cards) => cards.find(({ name }) => name === part(host, "network", HTMLSelectElement).value);

/** Lists the thresholds of the chosen network, the card's own first chosen. @param {HTMLElement} host @param {Card[]} cards */
function offerPresets(host, cards) {
  const select = part(host, "preset", HTMLSelectElement);
  const card = chosenCard(host, cards);
  const others = presetsOf(card).filter(([name]) => name !== "default");
  const former = others.some(([name]) => name === select.value) ? select.value : "default";
  /** @type {[string, number][]} */
  const offered = [["default", card?.threshold ?? 0.5], ...others.map(([name, { threshold }]) => /** @type {[string, number]} */ ([name, threshold]))];
  select.replaceChildren(...offered.map(([name, threshold]) =>
    new Option(`from ${threshold} (${name})`, name, name === "default", name === former)));
  part(host, "preset-choice").hidden = !others.length;
  explainPreset(host, cards);
}

/** Says what another preset than the default costs. @param {HTMLElement} host @param {Card[]} cards */
function explainPreset(host, cards) {
  const { value } = part(host, "preset", HTMLSelectElement);
  const chosen = presetsOf(chosenCard(host, cards)).find(([name]) => name === value && name !== "default");
  part(host, "preset-cost").hidden = !chosen;
  part(host, "preset-cost").textContent = chosen ? cost(chosen[1]) : "";
}

/** The request for a new analysis; without a network the service takes its own. @param {HTMLElement} host */
function chosen(host) {
  const model = part(host, "network", HTMLSelectElement).value;
  const tissue = part(host, "all", HTMLInputElement).checked ? /** @type {const} */ ("all") : /** @type {const} */ ("auto");
  const preset = /** @type {import("../presets.js").PresetName | ""} */ (part(host, "preset", HTMLSelectElement).value);
  return { tissue, rotation_check: true, ...(model ? { model } : {}), ...(preset && preset !== "default" ? { preset } : {}) };
}

/** @param {HTMLElement} host @param {import("../state.js").ViewerStore} store @param {AbortSignal} life */
function listen(host, store, life) {
  part(host, "network").addEventListener("input", () => offerPresets(host, store.get().cards), { signal: life });
  part(host, "preset").addEventListener("input", () => explainPreset(host, store.get().cards), { signal: life });
  /** @param {string} button @param {(signal: AbortSignal) => Promise<Analysis>} action */
  const on = (button, action) => part(host, button).addEventListener("click", async () => {
    store.set({ error: "" });
    try {
      showAnalysis(store, await action(life));
    } catch (error) {
      report(store, error);
    }
  }, { signal: life });
  const path = () => ({ analysis_id: store.get().analysis?.id ?? "" });
  on("analyse", (signal) =>
    request("post", "/api/v1/slides/{slide_id}/analyses", { path: { slide_id: store.get().slideId }, body: chosen(host), signal }));
  on("cancel", (signal) => request("post", "/api/v1/analyses/{analysis_id}/cancel", { path: path(), signal }));
  on("retry", (signal) => request("post", "/api/v1/analyses/{analysis_id}/retry", { path: path(), signal }));
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  listen(host, store, life);
  offerNetworks(host, store, life).catch((error) => report(store, error));
  store.watch((state) => (state.loaded ? state.analysis : undefined), (analysis) => {
    if (analysis !== undefined) show(host, analysis, store.get().slide?.not_analysable);
  }, life);
  store.watch((state) => (isActive(state.analysis) ? state.analysis?.id : undefined), (id, current) => {
    if (id) follow(store, id, current).catch((error) => report(store, error));
  }, life);
});
