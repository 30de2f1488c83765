/** The pictures that were marked relevant so far, in sight above whatever page is shown. */

import { thumbnail } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { nameOf } from "./tile.js";
import { on, state } from "./state.js";
import { openImage } from "./viewer.js";

export function setUpFound() {
  on(["marks", "session", "view"], render);
}

/** Newest first, each picture once, whether it or a box in it was marked. @returns {number[]} */
function foundIds() {
  const relevant = state.judgements.filter((judgement) => judgement.relevant).map((judgement) => judgement.image_id);
  return [...new Set(relevant.reverse())];
}

let face = "";

function render() {
  const host = byId("found");
  const ids = state.session ? foundIds() : [];
  host.hidden = !ids.length;
  const now = `${state.session?.session_id} ${ids.map((id) => `${id}${state.pictures.has(id) ? "" : "?"}`)}`;
  if (now === face) return;
  face = now;
  if (!ids.length) return fill(host);
  fill(
    host,
    h("h2", { class: "small", text: `Found so far: ${ids.length}` }),
    h("ul", { class: "found-list" }, ...ids.map(item)),
  );
}

/** @param {number} id */
function item(id) {
  const hit = state.pictures.get(id) ?? /** @type {any} */ ({ image_id: id });
  const name = state.pictures.has(id) ? nameOf(hit) : `Picture ${id}`;
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", "aria-label": `Show ${name} larger`, title: name, on: { click: () => openImage(id) } },
      h("img", { src: thumbnail(state.library.library_id, hit, 160), alt: "", loading: "lazy" }),
    ),
  );
}
