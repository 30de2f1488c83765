/** Every mark that counts, the person's and the agent's: what it did, and a way to take it back. */

import { byId, fileName, fill, h, icon, iconButton, place, plural } from "../../server/static/js/dom.js";
import * as marks from "../../server/static/js/marks.js";
import { on, state } from "../../server/static/js/state.js";
import { showInfluence } from "../../server/static/js/why.js";
import { thumbnail } from "./api.js";

/** Key of the mark whose influence is shown. */
let explained = "";

export const setUpMarks = () => on(["marks", "session"], render);

function render() {
  const host = byId("marks");
  host.hidden = !state.session || !state.judgements.length;
  if (host.hidden) return;
  const n = state.judgements.length;
  fill(
    host,
    h("h2", { text: `${plural(n, "mark")} ${n === 1 ? "counts" : "count"}` }),
    h("ul", { class: "tray-list window-list" }, ...state.judgements.slice().reverse().map(entry)),
  );
}

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
    { class: `mark ${sign}` },
    photo,
    h(
      "div",
      { class: "mark-body" },
      h("span", { class: "mark-sign" }, icon(mark.relevant ? "tick" : "cross"), ` ${mark.box ? "Part" : "Picture"} ${sign}`),
      h("span", { class: "mark-name", text: mark.caption ? `“${mark.caption}”` : name }),
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
