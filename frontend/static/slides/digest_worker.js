// A web worker: the SHA-256 of a file, read in pieces, so that a slide of many gigabytes takes little memory.
import { sha256 } from "../../libraries/hashes/sha2.js";
import { bytesToHex } from "../../libraries/hashes/utils.js";

const PIECE = 4 * 1024 * 1024; // bytes

/** @param {File} file */
async function digest(file) {
  const hash = sha256.create();
  for (let start = 0; start < file.size; start += PIECE) {
    hash.update(new Uint8Array(await file.slice(start, start + PIECE).arrayBuffer()));
    postMessage({ bytes: Math.min(start + PIECE, file.size) });
  }
  return bytesToHex(hash.digest());
}

addEventListener("message", ({ data: file }) => {
  digest(file).then((sha256) => postMessage({ sha256 }), (error) => postMessage({ error: String(error) }));
});
