// Libraries that modules import by their address below /libraries, which api/pages.py maps to node_modules.
declare module "*/libraries/hashes/sha2.js" {
  export { sha256 } from "@noble/hashes/sha2.js";
}
declare module "*/libraries/hashes/utils.js" {
  export { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
}
