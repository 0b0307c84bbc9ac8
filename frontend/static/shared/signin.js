// The one-time sign-in link.
import { post } from "./http.js";

/** Trade the one-time token in the address for a session, and forget it. @returns {Promise<string>} why not, or "" */
export async function useLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return "";
  history.replaceState(null, "", location.pathname);
  try {
    await post("/session", { token });
    return "";
  } catch (error) {
    return `This sign-in link does not work any more: ${/** @type {Error} */ (error).message}.`;
  }
}
