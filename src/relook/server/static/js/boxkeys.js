/** Keys of boxes: move, resize, sign, delete; a new one, and the next one. */

import { dragged, focusBox, shownSize } from "./boxes.js";
import * as marks from "./marks.js";
import { boxesOf, state } from "./state.js";

/** Arrow keys -> steps to the right and down. @type {Record<string, [-1|0|1, -1|0|1]>} */
export const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * What a key does to the selected box.
 * @param {KeyboardEvent} event @param {any} box
 * @param {{leave: () => void, edit: (key: string) => void}} then after a deletion; for a caption
 * @returns {(() => void)|null}
 */
export function boxKey(event, box, { leave, edit }) {
  const { key } = event;
  if (STEPS[key]) return () => nudge(box, key, event.shiftKey ? 10 : 1, event.altKey);
  if (event.altKey) return null;
  if (key === "r" || key === "i") return () => marks.signBox(box, key === "r");
  if (key === "d" || key === "Delete" || key === "Backspace")
    return () => {
      marks.removeBox(box);
      leave();
    };
  if (key === "e" && "relevant" in box) return () => edit(box.key);
  return null;
}

function nudge(box, key, px, resize) {
  const size = shownSize(box.image_id);
  if (!size) return;
  const [dx, dy] = STEPS[key];
  marks.moveBox(
    box.key,
    dragged(box.box, resize ? "se" : "move", (dx * px) / size.width, (dy * px) / size.height),
  );
}

/** A box on the picture's middle: arrows put it where it belongs. @param {{image_id: number}} hit @param {Element} within */
export function boxOn(hit, within) {
  focusBox(marks.draft(hit.image_id, [0.3, 0.3, 0.7, 0.7]), within);
}

/** @param {{image_id: number}} hit @param {Element} within */
export function nextBox(hit, within) {
  const all = [...boxesOf(hit.image_id), ...state.drafts.filter((draft) => draft.image_id === hit.image_id)];
  if (!all.length) return;
  const at = all.findIndex((box) => box.key === state.selected);
  const next = all[(at + 1) % all.length];
  marks.select(next.key);
  focusBox(next.key, within);
}
