// How this browser remembers unfinished uploads. File names may contain a patient's name and the browser may be shared,
// so that only digests of them are stored.
import { sha256 } from "../../libraries/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "../../libraries/hashes/utils.js";

/** @typedef {import("tus-js-client").UrlStorage} UrlStorage */

/** @param {(string | number)[]} facts */
const hidden = (...facts) => bytesToHex(sha256(utf8ToBytes(facts.join("\n"))));

/**
 * The key under which an unfinished upload is remembered. With a digest, only the same bytes are ever resumed. Without
 * one, the time of the last change stands in for it.
 * @param {File} file @param {string | null} digest
 */
export const keyOf = (file, digest) => `tus-${hidden(file.name, file.size, digest ?? `${file.type} ${file.lastModified}`)}`;

/** The library's storage. @returns {UrlStorage} */
const storage = () => /** @type {UrlStorage} */ (/** @type {unknown} */ (tus.defaultOptions.urlStorage));

/** The library's storage, with a digest of name and size in place of the metadata. @param {File} file @returns {UrlStorage} */
export const namelessStorage = (file) => ({
  findAllUploads: () => storage().findAllUploads(),
  findUploadsByFingerprint: (key) => storage().findUploadsByFingerprint(key),
  removeUpload: (key) => storage().removeUpload(key),
  addUpload: (key, upload) => storage().addUpload(key, { ...upload, metadata: { name: hidden(file.name, file.size) } }),
});

/** Whether an upload of another file with this name and size is unfinished. @param {File} file @param {string} key of this file */
export async function hasNamesake(file, key) {
  const uploads = await storage().findAllUploads();
  const name = hidden(file.name, file.size);
  return uploads.some((upload) => upload.metadata?.name === name && !upload.urlStorageKey.includes(key));
}
