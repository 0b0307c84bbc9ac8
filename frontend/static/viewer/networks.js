// Which network to ask, and what its rotation check says.
import { element, get } from "../shared/http.js";

/** Networks that live workers can run, those for comparison apart; the choice is shown when there is one. */
export async function offerNetworks() {
  const { models, default: preferred } = await get("/models");
  const select = /** @type {HTMLSelectElement} */ (element("network"));
  const option = (/** @type {any} */ card) => new Option(card.name, card.name, card.name === preferred, card.name === preferred);
  const rivals = models.filter((/** @type {any} */ card) => card.purpose === "comparison");
  const apart = document.createElement("optgroup");
  apart.label = "For comparison only";
  apart.append(...rivals.map(option));
  select.replaceChildren(...models.filter((/** @type {any} */ card) => !rivals.includes(card)).map(option));
  if (rivals.length) select.append(apart);
  if (!models.some((/** @type {any} */ card) => card.name === preferred)) {
    select.prepend(new Option(`${preferred} (no worker offers it now)`, "", true, true));
  }
  element("network-choice").hidden = select.options.length < 2;
}

/** The part of a request that names the network; nothing where it is the service's own. */
export function chosenNetwork() {
  const name = /** @type {HTMLSelectElement} */ (element("network")).value;
  return name ? { model: name } : {};
}

/**
 * How much of the tissue is unlike the network's training patches.
 * @param {any} found
 */
export function familiar(found) {
  if (!found) return "";
  const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(0)} %`;
  return (
    `${percent(found.unfamiliar_share)} of what was analysed looks unlike the network's training patches: ` +
    `over the limit that 2 % of held-out patches exceed, and at most ${percent(found.usual_share)} of any held-out slide's.`
  );
}

/** @param {number | null | undefined} value */
const logits = (value) => value?.toExponential(1) ?? "not a number";

/**
 * The rotation check in sentences that claim no more than was measured.
 * @param {any} check
 */
export function selfTest(check) {
  if (!check) return "The rotation self-test was not asked for.";
  if (!check.regions) return "None of the sampled regions could be read, so the rotation self-test tested nothing.";
  const own =
    check.passed === null
      ? "This network promises no symmetry, so there was nothing to test."
      : `Software self-test ${check.passed ? "passed" : "failed"}: ${check.regions} sampled regions under ${check.elements.join("; ")}, ` +
        `largest difference ${logits(check.residual_logits)} logits (tolerance ${check.tolerance_logits}). ` +
        "It tests the software; it does not say that a score is right." +
        (check.drift_logits ? ` On these regions the fast computation moved logits by up to ${logits(check.drift_logits)} from float32's.` : "");
  if (check.spread_logits === null || check.spread_logits === undefined) return own;
  return `${own} Under views that it does not promise (${check.outside.join("; ")}) its answer moved by up to ${check.spread_logits.toFixed(2)} logits.`;
}
