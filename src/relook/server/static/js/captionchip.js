/** The words of a box: a chip that becomes a field. */

import { failureOf, isWaiting } from "./captions.js";
import { h, icon } from "./dom.js";
import * as marks from "./marks.js";

/** @typedef {import("./state.js").Judgement} Judgement */

/** @param {Judgement & {arrived?: boolean}} judgement @param {() => void} edit */
export function captionChip(judgement, edit) {
  const writing = isWaiting(judgement);
  const text = writing ? "Finding words" : judgement.caption || "Add words";
  const failure = failureOf(judgement);
  return h(
    "button",
    {
      type: "button",
      class: `chip${writing ? " writing" : ""}${failure ? " failed" : ""}${judgement.arrived ? " arrived" : ""}`,
      title: failure ? `${failure.message}. Write the words yourself (e)` : "Edit these words (e)",
      "aria-label": writing
        ? "A caption is being written"
        : failure
          ? "No caption: the captioner failed. Write one"
          : `Caption: ${text}. Edit`,
      on: { click: edit },
    },
    failure ? icon("warn") : null,
    h("span", { text }),
  );
}

/**
 * The same as a field: Enter and leaving keep the words, Escape does not.
 * @param {Judgement} judgement @param {() => void} done when it is over
 */
export function captionField(judgement, done) {
  const field = h("input", {
    class: "chip-edit",
    value: judgement.caption ?? "",
    "aria-label": "Caption of this box",
    maxlength: "1000",
  });
  let isOver = false;
  const finish = (keep) => {
    if (isOver) return;
    isOver = true;
    if (keep && field.value.trim() !== (judgement.caption ?? "")) marks.writeCaption(judgement, field.value);
    done();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    finish(event.key === "Enter");
  });
  // A list that is made again around the field takes the keyboard from it, and gives it back at once.
  field.addEventListener("blur", () => setTimeout(() => document.activeElement !== field && finish(true), 0));
  return field;
}
