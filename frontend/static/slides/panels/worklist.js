// The slides, newest first, with their states. It is read again every second while something runs.
import { address, request } from "../../shared/http.js";
import { make, part, showText } from "../../shared/dom.js";
import { panel, repeat } from "../../shared/panel.js";
import { explain, size } from "../../shared/words.js";
import { changed, report } from "../state.js";

/** @typedef {import("../../shared/types").ListedSlide} Slide */
/** @typedef {import("../state.js").SlidesStore} SlidesStore */

const [BUSY_MS, IDLE_MS] = [1000, 10000];
const [PAGE, MAX_SHOWN] = [50, 500]; // the API sends at most 500 at once

const STATES = /** @type {Record<string, string>} */ ({
  inspecting: "inspecting", needs_input: "needs input", ready: "ready", rejected: "rejected",
});
const SOURCES = /** @type {Record<string, string>} */ ({ objective: "a guess from its objective" });
const ANALYSES = { queued: "queued", running: "analysing", succeeded: "analysed", failed: "analysis failed" };

/** @param {Slide} slide */
const isBusy = ({ state, latest_analysis }) => state === "inspecting" || ["queued", "running"].includes(latest_analysis?.state ?? "");

/** @param {Slide} slide */
function analysisState({ latest_analysis: analysis }) {
  if (!analysis) return [];
  const [name, text] = analysis.withheld ? ["withheld", "results withheld"] : [analysis.state, ANALYSES[analysis.state]];
  return [make("span", `state ${name}`, text), " "];
}

/** Both axes where they differ. @param {Slide} slide */
const micrometres = ({ mpp_x, mpp_y }) => (mpp_x === mpp_y ? `${mpp_x}` : `${mpp_x} × ${mpp_y}`);

/** @param {Slide} slide */
function describe(slide) {
  const texts = [size(slide.size_bytes)];
  if (slide.width) texts.push(`${slide.width} × ${slide.height} px`);
  if (slide.mpp_x) texts.push(`${micrometres(slide)} µm/px (${SOURCES[slide.mpp_source ?? ""] ?? slide.mpp_source})`);
  return texts.join(" · ");
}

/** @param {Slide} slide */
function thumbnail(slide) {
  const thumb = make("div", "thumb", slide.state === "inspecting" ? "…" : "");
  if (slide.state !== "ready" && slide.state !== "needs_input") return thumb;
  const image = make("img");
  Object.assign(image, { src: address(`/api/v1/slides/${slide.id}/thumbnail`), alt: "", loading: "lazy" });
  thumb.replaceChildren(image);
  return thumb;
}

/** @param {SlidesStore} store @param {Promise<unknown>} action */
async function attempt(store, action) {
  try {
    await action;
    changed(store);
  } catch (error) {
    report(store, error, "That did not work");
  }
}

/** @param {string} label @param {object} properties */
function field(label, properties) {
  const input = make("input");
  Object.assign(input, properties);
  input.setAttribute("aria-label", label);
  return input;
}

/**
 * Asks for the pixel size: with a reason where the slide has one already.
 * @param {SlidesStore} store @param {Slide} slide
 */
function question(store, slide) {
  const form = make("form", "ask");
  const mpp = field("Micrometres per pixel", { type: "number", step: "any", min: "0.08", max: "4", required: true, placeholder: "0.25" });
  const reason = field("Reason", { type: "text", maxLength: 200, required: true, placeholder: "Why? The audit records it" });
  form.append("How many µm is one pixel? (40×: 0.25, 20×: 0.5)", mpp, ...(slide.mpp_x ? [reason] : []), make("button", "primary", "Set"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { mpp: Number(mpp.value), ...(slide.mpp_x ? { reason: reason.value } : {}) };
    attempt(store, request("patch", "/api/v1/slides/{slide_id}", { path: { slide_id: slide.id }, body }));
  });
  return form;
}

/** Offers to correct the pixel size of a slide that has one. @param {SlidesStore} store @param {Slide} slide */
function correction(store, slide) {
  const details = make("details", "correct");
  details.append(make("summary", "", "Correct µm/px"), question(store, slide));
  return details;
}

/** @param {SlidesStore} store @param {Slide} slide */
function actions(store, slide) {
  const box = make("div", "actions");
  const path = { slide_id: slide.id };
  if (slide.state === "ready") {
    const open = make("a", "button", "Open");
    open.href = address(`/slides/${slide.id}`);
    box.append(open);
  }
  if (["inspect-failed", "unsupported"].includes(slide.reason?.code ?? "")) {
    const again = make("button", "", "Try again");
    again.addEventListener("click", () => attempt(store, request("post", "/api/v1/slides/{slide_id}/inspect", { path })));
    box.append(again);
  }
  const remove = make("button", "", "Delete");
  remove.setAttribute("aria-label", `Delete ${slide.filename}`);
  remove.addEventListener("click", () => {
    if (confirm(`Delete ${slide.filename} and all its analyses?`)) attempt(store, request("delete", "/api/v1/slides/{slide_id}", { path }));
  });
  box.append(remove);
  return box;
}

/** @param {SlidesStore} store @param {Slide} slide */
function row(store, slide) {
  const item = make("li", "slide");
  item.dataset.slide = slide.id;
  const facts = make("div", "facts");
  facts.append(make("span", `state ${slide.state}`, STATES[slide.state] ?? slide.state), " ", ...analysisState(slide), describe(slide));
  const text = make("div");
  text.append(make("div", "name", slide.filename), facts);
  const doubted = slide.state === "needs_input" && slide.reason?.code !== "mpp-missing"; // the question alone says that
  const failed = doubted || slide.state === "rejected" || slide.reason?.code === "inspect-failed"; // also of a slide that stays usable
  if (slide.reason && failed) text.append(make("div", "reason", `${explain(slide.reason)}.`));
  if (slide.not_analysable) text.append(make("div", "note", `${explain(slide.not_analysable)}.`));
  if (slide.left_out_files.length) text.append(make("div", "note", `Left out of the zip: ${slide.left_out_files.join(", ")}.`));
  if (slide.state === "needs_input") text.append(question(store, slide));
  if (slide.state === "ready") text.append(correction(store, slide));
  item.append(thumbnail(slide), text, actions(store, slide));
  return item;
}

/**
 * Shows the list until the life ends.
 * @param {HTMLElement} host @param {SlidesStore} store @param {AbortSignal} life
 */
function show(host, store, life) {
  const search = part(host, "search", HTMLInputElement);
  const more = part(host, "more");
  const view = { limit: PAGE, drawn: "" };
  const draw = (/** @type {import("../../shared/types").SlidePage} */ page, /** @type {string} */ query) => {
    part(host, "slides").replaceChildren(...page.slides.map((slide) => row(store, slide)));
    more.hidden = !page.next_cursor;
    showText(part(host, "empty"), page.slides.length ? "" : query ? "No slides match this search." : "No slides yet. Drop a file above to begin.");
  };
  const refresh = async (/** @type {AbortSignal} */ current) => {
    try {
      const query = search.value;
      const page = await request("get", "/api/v1/slides", { query: { limit: view.limit, query }, signal: current });
      if (current.aborted) return IDLE_MS; // a newer request is on its way
      const content = JSON.stringify([page, store.get().changes]);
      if (content !== view.drawn) draw(page, query); // an unchanged list keeps the focus and what is being typed
      view.drawn = content;
      store.set({ error: "" });
      return page.slides.some(isBusy) ? BUSY_MS : IDLE_MS;
    } catch (error) {
      report(store, error, "The list cannot be shown");
      return IDLE_MS;
    }
  };
  const again = repeat(refresh, life);
  store.watch((state) => state.changes, (changes) => changes && again(), life);
  search.addEventListener("input", again, { signal: life });
  document.addEventListener("visibilitychange", () => document.hidden || again(), { signal: life });
  more.addEventListener("click", () => {
    view.limit = Math.min(MAX_SHOWN, view.limit + PAGE);
    again();
  }, { signal: life });
}

export const { mount, unmount } = panel((host, /** @type {SlidesStore} */ store, life) => {
  store.watch((state) => Boolean(state.me), (signedIn, current) => {
    host.hidden = !signedIn;
    if (signedIn) show(host, store, current);
  }, life);
  store.watch((state) => state.error, (error) => showText(part(host, "error"), error), life);
  life.addEventListener("abort", () => part(host, "slides").replaceChildren(), { once: true });
});
