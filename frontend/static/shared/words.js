// Words that more than one panel uses.

/** @param {string} text */
export const capitalised = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/**
 * A refusal, a reason or a problem as text without its last full stop: "the file is damaged. Copy it again".
 * @param {{ detail?: string | null, action?: string | null }} reason
 */
export function explain({ detail, action }) {
  const plain = (/** @type {string | null | undefined} */ text) => (text ?? "").replace(/\.+$/, "");
  return action ? `${plain(detail)}. ${capitalised(plain(action))}` : plain(detail);
}

/** @param {unknown} error */
export const message = (error) => (error instanceof Error ? error.message : String(error));

/** @param {number} bytes decimal units */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; bytes >= 1000 && i < units.length - 1; i++) bytes /= 1000;
  return `${bytes < 10 && i ? bytes.toFixed(1) : Math.round(bytes)} ${units[i]}`;
}

/** @param {string | null} at @param {string} otherwise */
export const day = (at, otherwise) => (at ? new Date(at).toLocaleDateString(undefined, { dateStyle: "medium" }) : otherwise);

/** A share that is not all or nothing is never shown as 100 % or 0 %. @param {number} share in [0, 1] */
export const percent = (share) => {
  const rounded = Math.round(100 * share);
  if (rounded === 100 && share < 1) return `${Math.floor(1000 * share) / 10} %`;
  if (rounded === 0 && share > 0) return `${Math.ceil(1000 * share) / 10} %`;
  return `${rounded} %`;
};
