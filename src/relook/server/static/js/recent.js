/** The searches made in this browser, newest first; they stay in its local storage. */

import { keep, recall, state } from "./state.js";
import { describe, print } from "./query.js";

const MOST = 12;

/** @returns {string[]} */
export const recentSearches = () => recall("recent", []).filter((entry) => typeof entry === "string");

/** Remembers a search with words. @param {import("./state.js").Part[]} parts */
export function noteSearch(parts) {
  const words = print(parts);
  if (!words || parts.some((part) => part.image_id) || describe(parts) !== words) return;
  keep("recent", [words, ...recentSearches().filter((earlier) => earlier !== words)].slice(0, MOST));
  keep("library", state.library?.library_id);
}

/** @param {string} words */
export const forgetSearch = (words) =>
  keep(
    "recent",
    recentSearches().filter((earlier) => earlier !== words),
  );
