/** What a round changed: which pictures moved up, which are new. */

import { state } from "./state.js";

/** @typedef {import("./state.js").Hit} Hit */

/** A page as people call it. @param {number} number */
export const pageName = (number) => (number ? `page ${number + 1}` : "the first page");

/** @param {string} words */
export const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** The round before the current one. @returns {number|null} */
export const parentOf = (number) => state.rounds.find((round) => round.number === number)?.parent ?? null;

/**
 * How a picture of the current page came here.
 * @param {Hit} hit @param {number} at @returns {{text: string, fresh: boolean, spoken: string}|null}
 */
export function moveOf(hit, at) {
  if (state.showing === "before") return null;
  const before = rankBefore(hit);
  if (before === undefined) return null;
  const rank = state.changes.get(state.round)?.[hit.image_id]?.rank ?? at + 1;
  if (before === null) return { text: "new", fresh: true, spoken: "new" };
  if (before > rank)
    return { text: `↑ ${before - rank}`, fresh: false, spoken: `moved up ${before - rank} places` };
  return null;
}

/** @param {Hit} hit @returns {number|null|undefined} undefined: not known */
function rankBefore(hit) {
  const change = state.changes.get(state.round)?.[hit.image_id];
  if (change) return change.rank_before;
  const parent = parentOf(state.round);
  const page = parent === null ? undefined : state.pages.get(parent);
  if (!page) return undefined;
  const at = page.hits.findIndex((earlier) => earlier.image_id === hit.image_id);
  return at < 0 ? null : at + 1;
}

/** One line for the bar and the live region. @returns {string} */
export function movesInWords() {
  if (parentOf(state.round) === null) return "";
  const all = state.hits.map((hit, at) => moveOf(hit, at)).filter((move) => move !== null);
  const fresh = all.filter((move) => move.fresh).length;
  const up = all.length - fresh;
  return [up && `${up} moved up`, fresh && `${fresh} new`].filter(Boolean).join(", ");
}
