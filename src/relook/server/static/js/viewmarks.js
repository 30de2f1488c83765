/** The marks of the picture in the larger view, with the words of its boxes. */

import { captionChip, captionField } from "./captionchip.js";
import { button, fill, h, icon, iconButton } from "./dom.js";
import * as marks from "./marks.js";
import { state } from "./state.js";

/** Key of the box whose words are being written. */
let editing = "";

/** Shows the marks. @param {HTMLElement} host @param {number} imageId */
export function showMarksOf(host, imageId) {
  if (host.querySelector(".chip-edit") && editing) return; // nobody's words are lost under the hands
  const judged = state.judgements.filter((judgement) => judgement.image_id === imageId && judgement.box);
  const drafts = state.drafts.filter((draft) => draft.image_id === imageId);
  const held = /** @type {HTMLElement|null} */ (host.contains(document.activeElement) ? document.activeElement : null)?.closest("li")?.dataset.key;
  const rows = [...drafts.map(draftRow), ...judged.map((judgement) => row(host, imageId, judgement))];
  fill(host, rows.length ? h("h3", { text: "Marked parts" }) : null, rows.length ? h("ul", { class: "view-marks" }, ...rows) : null);
  if (held) /** @type {HTMLElement|null} */ (host.querySelector(`[data-key="${held}"] button`))?.focus();
}

/** Opens the words of a box. @param {HTMLElement} host @param {number} imageId @param {string} key */
export function editCaption(host, imageId, key) {
  editing = "";
  fill(host);
  editing = key;
  showMarksOf(host, imageId);
  const field = /** @type {HTMLInputElement|null} */ (host.querySelector(".chip-edit"));
  field?.focus();
  field?.select();
}

function row(host, imageId, judgement) {
  const sign = icon(judgement.relevant ? "tick" : "cross");
  sign.classList.add(judgement.relevant ? "yes" : "no");
  const ended = () => {
    editing = "";
    fill(host);
    showMarksOf(host, imageId);
    /** @type {HTMLElement|null} */ (host.querySelector(`[data-key="${judgement.key}"] .chip`))?.focus();
  };
  return h(
    "li",
    { data: { key: judgement.key }, class: judgement.key === state.selected ? "selected" : "" },
    sign,
    editing === judgement.key
      ? captionField(judgement, ended)
      : captionChip(judgement, () => editCaption(host, imageId, judgement.key)),
    iconButton("box", "Show this box", () => marks.select(judgement.key)),
    iconButton("bin", "Delete this box", () => marks.remove(judgement)),
  );
}

function draftRow(draft) {
  return h(
    "li",
    { data: { key: draft.key } },
    icon("box"),
    h(
      "span",
      { class: "mark-signs" },
      button("Relevant", () => marks.signBox(draft, true), "chip", "tick"),
      button("Irrelevant", () => marks.signBox(draft, false), "chip", "cross"),
    ),
    iconButton("bin", "Delete this box", () => marks.removeBox(draft)),
  );
}
