// The one-time sign-in link, and the way back to the page that asked for a sign-in.
import { address, request } from "./http.js";
import { message } from "./words.js";

/** Whether this browser has a session. A service that cannot say so counts as none. */
export const isSignedIn = () => request("get", "/api/v1/session").then(() => true, () => false);

/** Exchanges the one-time token in the address for a session. @returns {Promise<string>} why that failed, or "" */
export async function signInByLink() {
  const values = new URLSearchParams(location.hash.slice(1));
  const token = values.get("token");
  if (!token) return "";
  values.delete("token");
  history.replaceState(null, "", location.pathname + (String(values) && `#${values}`)); // the token stays out of history and bookmarks
  try {
    await request("post", "/api/v1/session", { body: { token } });
    return "";
  } catch (error) {
    return `This sign-in link is no longer valid: ${message(error)}.`;
  }
}

/** The page to sign in on, which then leads back to this one as its address is now. */
export function signInAddress() {
  const path = `/${location.pathname.slice(address("/").length)}`; // without the prefix of a proxy
  return address(`/#${new URLSearchParams({ return: path + location.hash })}`);
}

/** The page of this service that the address leads back to after a sign-in; "": none. An address elsewhere is no page of it. */
export function returnAddress() {
  const target = new URLSearchParams(location.hash.slice(1)).get("return") ?? "";
  return /^\/(slides\/[\w-]+|people)(#.*)?$/.test(target) ? address(target) : "";
}
