/** Every mark that counts, the person's and the agent's: its words, what it did, a way to take it back. */

import { captionChip, captionField } from "../../server/static/js/captionchip.js";
import { byId, fileName, fill, h, icon, iconButton, place, plural } from "../../server/static/js/dom.js";
import * as marks from "../../server/static/js/marks.js";
import { on, state } from "../../server/static/js/state.js";
import { showInfluence } from "../../server/static/js/why.js";
import { thumbnail } from "./api.js";

/** Keys of the mark whose influence is shown, and of the one whose words are being written. */
let [explained, editing] = ["", ""];
/** The field for those words: it outlives what else changes. @type {HTMLElement|null} */
let field = null;

export const setUpMarks = () => on(["marks", "session"], render);

function render() {
  const host = byId("marks");
  host.hidden = !state.session || !state.judgements.length;
  if (host.hidden) return;
  const n = state.judgements.length;
  const held = /** @type {HTMLElement} */ (document.activeElement);
  fill(
    host,
    h("h2", { text: `${plural(n, "mark")} ${n === 1 ? "counts" : "count"}` }),
    h("ul", { class: "tray-list window-list" }, ...state.judgements.slice().reverse().map(entry)),
  );
  if (held !== document.activeElement && held?.isConnected) held.focus(); // words that are being written
}

/** Opens the words of a box for writing. @param {string} key */
export function editWords(key) {
  const mark = state.judgements.find((known) => known.key === key);
  if (!mark) return;
  editing = key;
  field = captionField(mark, () => {
    editing = "";
    const hadKeyboard = field === document.activeElement;
    render();
    const chip = byId("marks").querySelector(`.mark[data-key="${key}"] .chip`);
    if (hadKeyboard) /** @type {HTMLElement|null} */ (chip)?.focus({ preventScroll: true });
  });
  render();
  field?.focus();
}

const words = (mark) => (editing === mark.key && field ? field : captionChip(mark, () => editWords(mark.key)));

function entry(mark) {
  const sign = mark.relevant ? "relevant" : "irrelevant";
  const known = state.pictures.get(mark.image_id);
  const name = known ? known.title || fileName(known.path) : `picture ${mark.image_id}`;
  const photo = h("div", { class: "mark-crop" }, h("img", { src: thumbnail(state.library.library_id, mark), alt: "" }));
  if (mark.box) {
    const box = h("div", { class: `proposed-box ${sign}`, "aria-hidden": "true" });
    place(box, mark.box);
    photo.append(box);
  }
  const more = h("div", { class: "mark-more" });
  const row = h(
    "li",
    { class: `mark ${sign}`, data: { key: mark.key } },
    photo,
    h(
      "div",
      { class: "mark-body" },
      h("span", { class: "mark-sign" }, icon(mark.relevant ? "tick" : "cross"), ` ${mark.box ? "Part" : "Picture"} ${sign}`),
      mark.box ? words(mark) : null,
      h("span", { class: "mark-name", text: name }),
    ),
    h(
      "div",
      { class: "mark-tools window-tools" },
      iconButton("why", `What this mark did: ${name}`, () => explain(mark, more), { "aria-expanded": String(explained === mark.key) }),
      iconButton("bin", `Take this mark back: ${name}`, () => takeBack(mark)),
    ),
    more,
  );
  if (explained === mark.key) fillMore(mark, more);
  else more.hidden = true;
  return row;
}

function takeBack(mark) {
  marks.remove(mark);
  const next = byId("marks").querySelector("button") ?? document.querySelector(".look-again");
  /** @type {HTMLElement|null} */ (next)?.focus({ preventScroll: true });
}

function explain(mark, more) {
  explained = explained === mark.key ? "" : mark.key;
  more.hidden = !explained;
  more.parentElement?.querySelector("[aria-expanded]")?.setAttribute("aria-expanded", String(Boolean(explained)));
  if (explained) fillMore(mark, more);
}

function fillMore(mark, more) {
  more.hidden = false;
  if (mark.judgement_id === null) fill(more, h("p", { class: "note", text: "It is on its way to the library." }));
  else showInfluence(more, mark.judgement_id, () => undefined);
}
