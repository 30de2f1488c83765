/** Everything that was marked: pictures and boxes by sign, captions to edit, what each mark did. */

import * as api from "./api.js";
import { captionChip, captionField } from "./captionchip.js";
import { failureOf, matchEarly } from "./captions.js";
import { button, byId, fileName, fill, h, icon, iconButton, plural } from "./dom.js";
import * as marks from "./marks.js";
import { lookAgain, redo, undo } from "./rounds.js";
import { completeness, setUpComplete } from "./complete.js";
import { on, state } from "./state.js";
import { foot, renderFoot } from "./trayfoot.js";
import { openImage } from "./viewer.js";
import { showInfluence } from "./why.js";
/** @typedef {import("./state.js").Judgement} Judgement */
/** By key: the caption that is being edited, and the mark whose influence is shown. */
let [editing, explained] = ["", ""];
/** Entries by key, kept so that a caption that is being typed is never lost. @type {Map<string, {face: string, element: HTMLElement}>} */
const entries = new Map();

const scroll = h("div", { class: "side-scroll" });

export function setUpTray() {
  const side = byId("side");
  fill(side, scroll, foot);
  setUpComplete();
  on(["marks", "session", "view"], () => {
    matchEarly();
    render();
  });
}

function render() {
  const side = byId("side");
  side.hidden = !state.session;
  document.body.classList.toggle("no-session", !state.session);
  byId("dock").hidden = !state.session;
  if (!state.session) return;
  const yes = state.judgements.filter((judgement) => judgement.relevant);
  const no = state.judgements.filter((judgement) => !judgement.relevant);
  const keys = new Set([...state.judgements, ...state.drafts].map((mark) => mark.key));
  for (const key of entries.keys()) if (!keys.has(key)) entries.delete(key);
  const held = /** @type {HTMLElement} */ (document.activeElement);
  fill(
    scroll,
    head(),
    state.drafts.length ? drafts() : null,
    completeness,
    group("relevant", "tick", "Relevant", yes),
    group("irrelevant", "cross", "Irrelevant", no),
  );
  if (held !== document.activeElement && held?.isConnected) held.focus();
  renderFoot();
  renderDock();
}

function head() {
  const n = state.judgements.length;
  return h(
    "div",
    {},
    h(
      "div",
      { class: "side-head" },
      h("h2", { text: n ? plural(n, "mark") : "Mark what fits" }),
      iconButton("undo", "Undo (z)", () => undo()),
      iconButton("redo", "Make it again (Shift+Z)", () => redo()),
      iconButton("cross", "Close this list", () => lift(false), { class: "quiet square side-close" }),
    ),
    n || state.drafts.length
      ? null
      : h(
          "ul",
          { class: "note tray-group" },
          h("li", { text: "Click a picture that fits." }),
          h("li", { text: "Shift-click one that does not." }),
          h("li", { text: "Drag on a picture to mark just a part." }),
          h("li", { text: "Then look again: the next page follows your marks." }),
        ),
  );
}

function group(kind, picture, title, list) {
  if (!list.length) return null;
  return h(
    "section",
    { class: `tray-group ${kind}`, "aria-label": title },
    h(
      "h3",
      {},
      icon(picture),
      h("span", { text: `${title} ` }),
      h("span", { class: "number", text: String(list.length) }),
    ),
    h("ul", { class: "tray-list" }, ...list.slice().reverse().map(entry)),
  );
}

function drafts() {
  return h(
    "section",
    { class: "tray-group", "aria-label": "Boxes without a sign" },
    h("h3", {}, icon("box"), "What about this part?"),
    h(
      "ul",
      { class: "tray-list" },
      ...state.drafts.map((draft) =>
        h(
          "li",
          { class: "mark" },
          crop(draft),
          h(
            "div",
            { class: "mark-signs" },
            button("Relevant", () => marks.signBox(draft, true), "chip", "tick"),
            button("Irrelevant", () => marks.signBox(draft, false), "chip", "cross"),
          ),
          h(
            "div",
            { class: "mark-tools" },
            iconButton("bin", "Delete box", () => marks.removeBox(draft)),
          ),
        ),
      ),
    ),
  );
}

function entry(judgement) {
  const face = JSON.stringify([
    judgement.judgement_id,
    judgement.relevant,
    judgement.box,
    judgement.caption,
    judgement.caption_by,
    failureOf(judgement),
    editing === judgement.key,
    explained === judgement.key,
    state.pictures.has(judgement.image_id),
  ]);
  const old = entries.get(judgement.key);
  if (old?.face === face) return old.element;
  if (old && editing === judgement.key && old.element.querySelector(".chip-edit")) return old.element;
  const more = h("div", { class: "mark-more" });
  const element = h(
    "li",
    { class: "mark", data: { key: judgement.key } },
    crop(judgement),
    h("div", { class: "mark-body" }, caption(judgement), h("span", { class: "mark-name", text: nameFor(judgement) })),
    h(
      "div",
      { class: "mark-tools" },
      iconButton("cross", "Take this mark back", () => marks.remove(judgement)),
      judgement.judgement_id
        ? iconButton("why", "What did this mark do?", () => explain(judgement), {
            "aria-expanded": String(explained === judgement.key),
          })
        : null,
    ),
    failed(judgement),
    explained === judgement.key ? more : null,
  );
  if (explained === judgement.key) showInfluence(more, judgement.judgement_id, (moved) => openImage(moved.image_id));
  entries.set(judgement.key, { face, element });
  return element;
}

/** Why there are no words, and what can be done: the mark itself counts all the same. */
function failed(judgement) {
  const failure = failureOf(judgement);
  if (!failure || editing === judgement.key) return null;
  return h(
    "div",
    { class: "mark-more mark-failure" },
    h(
      "p",
      { class: "note" },
      h("strong", { text: "No words were found. " }),
      `${sentence(failure.message)} ${sentence(failure.hint)}`,
    ),
    h("p", { class: "note", text: "The box counts without them." }),
    button("Try again", () => marks.askCaption(judgement), "chip", "again"),
  );
}

/** Messages of the server begin small and end without a stop. @param {string} text */
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1).replace(/[.]$/, "")}.` : "");

const nameFor = (judgement) => fileName(state.pictures.get(judgement.image_id)?.path ?? `Picture ${judgement.image_id}`);

function explain(judgement) {
  explained = explained === judgement.key ? "" : judgement.key;
  render();
}

/** The picture, or the part in the box, as a small square. */
function crop(mark) {
  const hit = state.pictures.get(mark.image_id) ?? { image_id: mark.image_id, path: undefined };
  const image = new Image();
  const canvas = h("canvas", { width: 128, height: 128 });
  const [x0, y0, x1, y1] = mark.box ?? [0, 0, 1, 1];
  image.addEventListener("load", () => {
    const w = (x1 - x0) * image.naturalWidth;
    const ht = (y1 - y0) * image.naturalHeight;
    const side = Math.min(w, ht);
    canvas
      .getContext("2d")
      .drawImage(
        image,
        x0 * image.naturalWidth + (w - side) / 2,
        y0 * image.naturalHeight + (ht - side) / 2,
        side,
        side,
        0,
        0,
        128,
        128,
      );
  });
  image.src = api.thumbnail(state.library.library_id, hit, mark.box ? 320 : 160);
  return h(
    "button",
    {
      type: "button",
      class: "mark-crop",
      "aria-label": `Show ${fileName(hit.path ?? "the picture")} larger`,
      on: { click: () => showMark(mark) },
    },
    canvas,
  );
}

async function showMark(mark) {
  await openImage(mark.image_id);
  if (mark.box) marks.select(mark.key);
}

/** The words of a mark. */
function caption(judgement) {
  if (!judgement.box) return h("strong", { class: "small", text: "Whole picture" });
  if (editing !== judgement.key) return captionChip(judgement, () => edit(judgement.key));
  return captionField(judgement, () => {
    if (editing === judgement.key) editing = "";
    entries.delete(judgement.key);
    render();
    /** @type {HTMLElement|null} */ (scroll.querySelector(`[data-key="${judgement.key}"] .chip`))?.focus();
  });
}

/** Opens a caption for editing. @param {string} key */
export function edit(key) {
  editing = key;
  lift(true);
  render();
  const field = /** @type {HTMLInputElement|null} */ (scroll.querySelector(".chip-edit"));
  field?.focus();
  field?.select();
}

/** Puts the keyboard on the list. */
export function focusTray() {
  lift(true);
  /** @type {HTMLElement|null} */ (scroll.querySelector(".mark button, .side-head button"))?.focus();
}

/** On a narrow screen the list is a sheet. @param {boolean} [up] */
export function lift(up) {
  byId("side").classList.toggle("up", up);
  byId("dock")
    .querySelector("[aria-expanded]")
    ?.setAttribute("aria-expanded", String(byId("side").classList.contains("up")));
}

function renderDock() {
  const dock = byId("dock");
  const n = state.judgements.length + state.drafts.length;
  if (!dock.children.length) {
    const open = button("", () => lift(!byId("side").classList.contains("up")));
    open.setAttribute("aria-expanded", "false");
    open.setAttribute("aria-controls", "side");
    fill(
      dock,
      open,
      button("Look again", () => (lift(false), lookAgain()), "primary", "again"),
    );
  }
  dock.querySelector("span").textContent = `Marked ${n}`;
}
