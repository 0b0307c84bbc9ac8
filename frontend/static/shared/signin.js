// The one-time sign-in link.
import { request } from "./http.js";
import { message } from "./words.js";

/** Whether this browser has a session. A service that cannot say so counts as none. */
export const isSignedIn = () => request("get", "/api/v1/session").then(() => true, () => false);

/** Exchanges the one-time token in the address for a session. @returns {Promise<string>} why that failed, or "" */
export async function signInByLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return "";
  history.replaceState(null, "", location.pathname); // the token stays out of history and bookmarks
  try {
    await request("post", "/api/v1/session", { body: { token } });
    return "";
  } catch (error) {
    return `This sign-in link is no longer valid: ${message(error)}.`;
  }
}
