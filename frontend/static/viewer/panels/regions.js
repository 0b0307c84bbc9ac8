// The ranked regions, and the files to export. A click, N or B moves to a region.
import { address, request } from "../../shared/http.js";
import { make, part } from "../../shared/dom.js";
import { panel } from "../../shared/panel.js";
import { displayed, report, showRegion } from "../state.js";

// A spreadsheet of a language with a decimal comma splits cells at semicolons: all of these are written alike.
const LOCALE = (0.5).toLocaleString().includes(",") ? "de" : "en";
const EXPORTS = {
  geojson: ["regions.geojson", "regions.geojson"],
  "geojson-bounds": ["regions.geojson?origin=bounds", "regions.geojson"],
  csv: ["regions.csv", "regions.csv"],
  "csv-spreadsheet": [`regions.csv?locale=${LOCALE}&bom=true`, "regions.csv"],
  npy: ["heatmap", "heatmap.npy"],
};

/** @param {import("../../shared/types").Region} region @param {() => void} jump */
function entry(region, jump) {
  const item = make("li");
  const button = make("button");
  const area = region.area_corrected_um2 / 1e6;
  button.append(
    make("span", "", `${region.rank}.`),
    make("span", "score", region.max_score.toFixed(3)),
    make("span", "small", `${area < 0.1 ? area.toFixed(4) : area.toFixed(2)} mm²`),
  );
  button.title = `Region ${region.rank}: highest score ${region.max_score.toFixed(3)}, ${region.cells} cells. Preliminary.`;
  button.addEventListener("click", jump);
  item.append(button);
  return item;
}

/** @param {HTMLElement} host @param {string} analysisId */
function linkExports(host, analysisId) {
  for (const [name, [path, file]] of Object.entries(EXPORTS)) {
    const link = part(host, name, HTMLAnchorElement);
    link.href = address(`/api/v1/analyses/${analysisId}/${path}`);
    link.download = file;
  }
}

/** @param {HTMLElement} list @param {number} current */
function mark(list, current) {
  [...list.querySelectorAll("button")].forEach((button, i) => {
    button.setAttribute("aria-current", String(i === current));
    if (i === current) button.scrollIntoView({ block: "nearest" });
  });
}

export const { mount, unmount } = panel((host, /** @type {import("../state.js").ViewerStore} */ store, life) => {
  const list = part(host, "regions");
  /** @param {string} id @param {AbortSignal} signal */
  const load = async (id, signal) => {
    const answer = await request("get", "/api/v1/analyses/{analysis_id}/regions", { path: { analysis_id: id }, signal });
    part(host, "summary").textContent = answer.summary;
    linkExports(host, id);
    store.set({ regions: answer.regions, region: -1 });
    host.hidden = false;
  };
  store.watch((state) => state.regions, (regions) =>
    list.replaceChildren(...regions.map((region, index) => entry(region, () => showRegion(store, index)))), life);
  store.watch((state) => state.region, (region) => mark(list, region), life);
  store.watch((state) => displayed(state)?.id, (id, current) => {
    host.hidden = true;
    if (id) load(id, current).catch((error) => report(store, error));
  }, life);
  life.addEventListener("abort", () => list.replaceChildren(), { once: true });
});
