// The slide list: sign-in, uploads, slides with their states.
import { Refusal, administersAll, call, element, get, make, post, say, size } from "../shared/http.js";
import { useLink } from "../shared/signin.js";
import { watchDrops } from "./upload.js";

const BUSY_MS = 1000;
const IDLE_MS = 10000;
const STATES = /** @type {Record<string, string>} */ ({
  inspecting: "being inspected", needs_input: "needs an answer", ready: "ready", rejected: "rejected",
});
const ANALYSES = /** @type {Record<string, string>} */ ({
  queued: "waiting for a worker", running: "being analysed", succeeded: "analysed", failed: "analysis failed",
});
let timer = 0;
let shown = 50;
let drawn = "";

/** @param {boolean} signedIn */
function show(signedIn) {
  element("sign-in").hidden = signedIn;
  element("content").hidden = !signedIn;
  element("sign-out").hidden = !signedIn;
}

async function refresh() {
  clearTimeout(timer);
  let busy = false;
  try {
    const query = /** @type {HTMLInputElement} */ (element("search")).value;
    const page = await get(`/slides?limit=${shown}&query=${encodeURIComponent(query)}`);
    busy = page.slides.some(isBusy);
    draw(page, query);
    say(element("error"), "");
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) return show(false);
    say(element("error"), `The list cannot be shown: ${/** @type {Error} */ (error).message}.`);
  }
  timer = window.setTimeout(refresh, busy ? BUSY_MS : IDLE_MS);
}

/** @param {any} slide */
const isBusy = (slide) => slide.state === "inspecting" || ["queued", "running"].includes(slide.latest_analysis?.state);

/** @param {any} page @param {string} query */
function draw(page, query) {
  const content = JSON.stringify(page);
  if (content === drawn) return; // keep the keyboard's place and what is being typed
  drawn = content;
  element("slides").replaceChildren(...page.slides.map(row));
  element("more").hidden = !page.next_cursor;
  say(element("empty"), page.slides.length ? "" : query ? "No slide has this in its name." : "No slides yet. Drop one above to begin.");
}

/** @param {any} slide */
function row(slide) {
  const item = make("li", "slide");
  item.dataset.slide = slide.id;
  const thumb = make("div", "thumb", slide.state === "inspecting" ? "…" : "");
  if (slide.state === "ready" || slide.state === "needs_input") {
    const image = document.createElement("img");
    Object.assign(image, { src: `/api/v1/slides/${slide.id}/thumbnail`, alt: "", loading: "lazy" });
    thumb.replaceChildren(image);
  }
  const text = make("div");
  const name = make("div", "name", slide.filename);
  const facts = make("div", "facts");
  facts.append(make("span", `state ${slide.state}`, STATES[slide.state] ?? slide.state), " ", ...latest(slide), described(slide));
  text.append(name, facts);
  if (slide.reason && slide.state === "rejected") text.append(make("div", "reason", sentence(slide.reason)));
  if (slide.state === "needs_input") text.append(question(slide));
  item.append(thumb, text, actions(slide));
  return item;
}

/** @param {any} slide */
function latest(slide) {
  const analysis = slide.latest_analysis;
  if (!analysis) return [];
  const kind = analysis.withheld ? "withheld" : analysis.state;
  return [make("span", `state ${kind}`, analysis.withheld ? "results withheld" : ANALYSES[kind]), " "];
}

/** @param {any} reason */
const sentence = (reason) => [reason.detail, reason.action].filter(Boolean).join("; ");

/** @param {any} slide */
function described(slide) {
  const parts = [size(slide.size_bytes)];
  if (slide.width) parts.push(`${slide.width} × ${slide.height} px`);
  if (slide.mpp_x) parts.push(`${slide.mpp_x} µm/px (${slide.mpp_source})`);
  return parts.join(" · ");
}

/** @param {any} slide */
function question(slide) {
  const form = document.createElement("form");
  form.className = "ask";
  const input = document.createElement("input");
  Object.assign(input, { type: "number", step: "any", min: "0.02", max: "99", required: true, placeholder: "0.25" });
  input.setAttribute("aria-label", "Micrometres per pixel");
  const button = make("button", "primary", "Set");
  form.append("How many µm is one pixel? (40×: 0.25, 20×: 0.5)", input, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await attempt(() => call("PATCH", `/slides/${slide.id}`, { mpp: Number(input.value) }));
  });
  return form;
}

/** @param {any} slide */
function actions(slide) {
  const place = make("div", "actions");
  if (slide.state === "ready") {
    const open = make("a", "button", "Open");
    open.setAttribute("href", `/slides/${slide.id}`);
    place.append(open);
  }
  if (slide.reason?.code === "inspect-failed") {
    const again = make("button", "", "Try again");
    again.addEventListener("click", () => attempt(() => call("POST", `/slides/${slide.id}/inspect`)));
    place.append(again);
  }
  const remove = make("button", "", "Delete");
  remove.setAttribute("aria-label", `Delete ${slide.filename}`);
  remove.addEventListener("click", async () => {
    if (confirm(`Delete ${slide.filename} with all its analyses?`)) await attempt(() => call("DELETE", `/slides/${slide.id}`));
  });
  place.append(remove);
  return place;
}

/** @param {() => Promise<unknown>} action */
async function attempt(action) {
  try {
    await action();
    drawn = "";
    await refresh();
  } catch (error) {
    say(element("error"), `That did not work: ${/** @type {Error} */ (error).message}.`);
  }
}

element("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const [login, secret] = ["login", "key"].map((id) => /** @type {HTMLInputElement} */ (element(id)).value);
    await post("/session", login.trim() ? { login: login.trim(), password: secret } : { key: secret.trim() });
    location.reload();
  } catch (error) {
    say(element("sign-in-error"), `${/** @type {Error} */ (error).message}.`);
  }
});
element("sign-out").addEventListener("click", async () => {
  await call("DELETE", "/session");
  location.reload();
});
element("search").addEventListener("input", refresh);
element("more").addEventListener("click", () => {
  shown = Math.min(500, shown + 50);
  refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());

/** @param {any} me */
function showPeople(me) {
  element("people").hidden = !administersAll(me) && !me.person_id;
  if (!administersAll(me)) element("people").textContent = "Your password";
}

say(element("sign-in-error"), await useLink());
try {
  showPeople(await get("/session"));
  show(true);
  watchDrops(refresh);
  await refresh();
} catch (error) {
  show(false);
  if (!(error instanceof Refusal && error.status === 401)) say(element("sign-in-error"), `${/** @type {Error} */ (error).message}.`);
}
