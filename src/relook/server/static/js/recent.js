/** The searches made in this browser, newest first; they stay in its local storage. */

import { keep, recall, state } from "./state.js";
import { describe, print } from "./query.js";

const MOST = 12;

/** @returns {string[]} */
export const recentSearches = () => recall("recent", []).filter((one) => typeof one === "string");

/** Remembers a search with words. @param {import("./state.js").Part[]} parts */
export function noteSearch(parts) {
  const words = print(parts);
  if (!words || parts.some((one) => one.image_id) || describe(parts) !== words) return;
  keep("recent", [words, ...recentSearches().filter((one) => one !== words)].slice(0, MOST));
  keep("library", state.library?.library_id);
}

/** @param {string} words */
export const forgetSearch = (words) =>
  keep(
    "recent",
    recentSearches().filter((one) => one !== words),
  );
