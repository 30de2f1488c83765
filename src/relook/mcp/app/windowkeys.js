/** The keyboard in the window: the page's commands, as far as there is something to command. */

import { STEPS, boxKey, boxOn, nextBox } from "../../server/static/js/boxkeys.js";
import { byId, h } from "../../server/static/js/dom.js";
import * as marks from "../../server/static/js/marks.js";
import { current, selectedBox, state } from "../../server/static/js/state.js";
import { closeDetail, isOpen } from "./detail.js";
import { editWords } from "./marklist.js";

/** @typedef {{grid: import("../../server/static/js/grid.js").Grid, open: (at: number, why?: boolean) => void, again: () => void}} Actions */

/** @type {[string, string][]} */
const HELP = [
  ["← ↑ ↓ →", "move"],
  ["r", "relevant"],
  ["i", "irrelevant"],
  ["b", "a box, arrows move it, Alt resizes"],
  ["n", "next box"],
  ["e", "its words"],
  ["o", "larger"],
  ["w", "why"],
  ["Enter", "look again"],
];

/** @param {Actions} actions */
export function setUpKeys(actions) {
  document.addEventListener("keydown", (event) => pressed(event, actions));
  byId("keys").append(...HELP.flatMap(([key, what]) => [h("kbd", { text: key }), ` ${what}  `]));
}

/** @param {KeyboardEvent} event @param {Actions} actions */
function pressed(event, actions) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey) return;
  const box = selectedBox();
  const ofBox = { leave: () => !isOpen() && actions.grid.focus(), edit: editWords };
  const run = event.key === "Escape" ? escape(box, actions) : (box && boxKey(event, box, ofBox)) || command(event, actions);
  if (!run) return;
  event.preventDefault();
  run();
}

function escape(box, { grid }) {
  if (box && !("relevant" in box)) return () => (marks.removeBox(box), grid.focus());
  if (box) return () => (marks.select(null), grid.focus());
  return isOpen() ? () => closeDetail() : null;
}

/** @param {KeyboardEvent} event @param {Actions} actions @returns {(() => void)|null} */
function command(event, { grid, open, again }) {
  const { key } = event;
  const target = /** @type {HTMLElement} */ (event.target);
  const hit = current();
  if (event.altKey || !hit) return null;
  const arrow = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" }[key];
  if (arrow && STEPS[key]) return target.closest(".grid") ? () => grid.go(/** @type {"left"} */ (arrow)) : null;
  if (key === "o") return () => (isOpen() ? closeDetail() : open(state.cursor));
  if (!state.session) return null;
  const within = document.querySelector(isOpen() ? ".detail" : ".grid") ?? document.body;
  const toGrid = {
    Enter: target.matches(".photo, body") ? again : null,
    Home: target.closest(".grid") ? () => grid.go(0) : null,
    End: target.closest(".grid") ? () => grid.go(grid.places.length - 1) : null,
  };
  return (
    {
      ...toGrid,
      r: () => marks.toggle(hit.image_id, true),
      i: () => marks.toggle(hit.image_id, false),
      b: () => boxOn(hit, within),
      n: () => nextBox(hit, within),
      w: () => open(state.cursor, true),
    }[key] ?? null
  );
}
