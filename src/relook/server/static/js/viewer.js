/** The larger view: one picture with the same tools as the grid, its facts, why it is here. */

import { albums, isFavourite, openAdd, toggleFavourite } from "./albums.js";
import * as api from "./api.js";
import { BoxLayer, wasGesture } from "./boxes.js";
import { button, fileName, fill, h, icon, iconButton, needs, place } from "./dom.js";
import { factsOf } from "./facts.js";
import { heatButton } from "./heat.js";
import * as marks from "./marks.js";
import { playButton } from "./play.js";
import { complain } from "./notices.js";
import { lookAgain } from "./rounds.js";
import { copyPaths, showInFolder } from "./paths.js";
import { boxesOf, markOf, on, remember, set, state } from "./state.js";
import { isWhole, nameOf, outlines } from "./tile.js";
import { editCaption, showMarksOf } from "./viewmarks.js";
import { showReasons } from "./why.js";
import { Zoom } from "./zoom.js";

/** @typedef {import("./state.js").Hit} Hit */

const dialog = h("dialog", { class: "viewer", "aria-label": "Larger view" });
const stage = h("div", { class: "view-stage" });
const panel = h("div", { class: "view-panel" });
const NONE = /** @type {Hit} */ (/** @type {unknown} */ (null));
/** The picture that is shown; none while the view is closed, when nothing here reads it. */
let hit = NONE;
/** @type {BoxLayer|null} */
let layer = null;
let photo = h("div");
const SMALL_PX = 1280; // the longer side of the largest thumbnail
const zoom = new Zoom(stage, (scale) => scale > 1 && showOriginal());
let whyShown = false;
/** @type {() => void} */
let closed = () => undefined;
/** @type {(parts: any[]) => void} */
let searchFor = () => undefined;
/** @type {(hit: Hit) => void} */
let askAbout = () => undefined;
/** @type {(hit: Hit) => void} */
let openCopiesOf = () => undefined;

/**
 * What this view opens is given to it: those modules open this view, and a circle of modules cannot be put together.
 * @param {{closed: () => void, search: (parts: any[]) => void, ask: (hit: Hit) => void, copies: (hit: Hit) => void}} actions
 */
export function setUpViewer(actions) {
  ({ closed, search: searchFor, ask: askAbout, copies: openCopiesOf } = actions);
  dialog.append(stage, panel);
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    layer?.dispose();
    layer = null;
    hit = NONE;
    closed();
  });
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // keys.js decides what Esc means here
  new ResizeObserver(() => hit && fit()).observe(stage);
  on(["marks", "selection", "favourites"], () => hit && refresh());
  on("hits", () => dialog.open && closeViewer());
}

export const viewerOpen = () => dialog.open;
export const closeViewer = () => dialog.close();
export const shownHit = () => hit;

/** Opens a picture by its place on the page. @param {number} at @param {boolean} [why] with the reasons */
export function openAt(at, why = whyShown && dialog.open) {
  if (!state.hits[at]) return;
  set({ cursor: at }, "cursor");
  show(state.hits[at], why);
}

/** Opens any picture of the library. @param {number} imageId */
export async function openImage(imageId) {
  const at = state.hits.findIndex((ranked) => ranked.image_id === imageId);
  if (at >= 0) return openAt(at);
  try {
    if (!state.pictures.has(imageId)) remember([await api.image(state.library.library_id, imageId)]);
    show(state.pictures.get(imageId), false);
  } catch (error) {
    complain(error);
  }
}

/** Next or previous picture. @param {-1|1} by */
export function step(by) {
  const at = state.hits.findIndex((ranked) => ranked.image_id === hit?.image_id);
  if (at >= 0 && state.hits[at + by]) openAt(at + by);
}

function show(next, why) {
  hit = next;
  whyShown = why;
  layer?.dispose();
  photo = h("div", {
    class: "view-photo",
    tabindex: "-1",
    autofocus: true,
    role: "group",
    "aria-label": `${nameOf(hit)}. r marks it relevant, i irrelevant, b puts a box on it, + and - zoom.`,
  });
  const at = state.hits.findIndex((ranked) => ranked.image_id === hit.image_id);
  const picture = h("img", { alt: nameOf(hit), draggable: "false", src: large(hit) });
  picture.addEventListener("load", () => preload(at), { once: true });
  picture.addEventListener("error", cannotBeShown);
  const winner = h("div", { class: "winner" });
  winner.hidden = isWhole(hit.tile);
  if (!winner.hidden) place(winner, hit.tile);
  photo.append(picture, winner);
  const outlined = outlines(hit);
  if (outlined) photo.append(outlined);
  photo.addEventListener("pointerenter", () => winner.classList.add("show"));
  photo.addEventListener("pointerleave", () => winner.classList.remove("show"));
  layer = new BoxLayer(photo, hit.image_id, { direct: true });
  photo.addEventListener("pointerdown", (event) => layer?.press(event));
  photo.addEventListener("click", click);
  fill(
    stage,
    photo,
    at > 0 && iconButton("left", "Previous picture", () => step(-1), { class: "quiet view-nav prev" }),
    at >= 0 &&
      at < state.hits.length - 1 &&
      iconButton("right", "Next picture", () => step(1), { class: "quiet view-nav next" }),
    zoom.bar,
  );
  fillPanel(at);
  learn(hit);
  if (!dialog.open) dialog.showModal();
  photo.focus({ preventScroll: true });
  fit();
  refresh();
}

const large = (shown) => api.thumbnail(state.library.library_id, shown, SMALL_PX);
const original = (shown) => shown.file ?? api.fileUrl(state.library.library_id, shown.image_id);

function cannotBeShown() {
  const text = `${fileName(hit.path)} cannot be shown. Was the file moved? Index the library again.`;
  fill(stage, h("p", { class: "state", text }));
}

/** The pictures beside it, so that the next step is at once. @param {number} at */
function preload(at) {
  for (const neighbour of [state.hits[at + 1], state.hits[at - 1]])
    if (at >= 0 && neighbour) new Image().src = large(neighbour);
}

/** Larger than its thumbnail a picture is read from its file; the thumbnail stays where that fails. */
function showOriginal() {
  const shown = hit;
  const picture = /** @type {HTMLImageElement|null} */ (photo.querySelector(":scope > img"));
  if (!picture || picture.dataset.whole || shown.time_s != null || Math.max(shown.width_px, shown.height_px) <= SMALL_PX) return;
  picture.dataset.whole = "asked";
  const whole = new Image();
  whole.addEventListener("load", () => picture.isConnected && (picture.src = whole.src));
  whole.src = original(shown);
}

/** What the server knows besides: facts, and a video to play, of a scene or of what moves in a photograph. */
async function learn(shown) {
  if (shown.video) offer(photo, shown, shown.video);
  const into = photo;
  const [known, holding] = await Promise.all([
    api.image(state.library.library_id, shown.image_id).catch(() => null),
    albums(shown.image_id).catch(() => []),
  ]);
  if (!known || hit !== shown || photo !== into) return;
  tell(known, holding);
  if (known.video && !shown.video) offer(into, shown, known.video);
}

const offer = (into, shown, address) =>
  into.append(playButton(into, address, shown.time_s, nameOf(shown)));

/** Plays what there is to play. */
export const playShown = () => /** @type {HTMLElement|null} */ (photo.querySelector(".play-button"))?.click();

function click(event) {
  if (wasGesture() || event.target.closest(".box, .boxbar, .play-button, .player")) return;
  if (state.selected) marks.select(null);
  else if (state.session) marks.toggle(hit.image_id, !event.shiftKey);
}

/** As large as the stage allows, in the picture's own shape. */
function fit() {
  const style = getComputedStyle(stage);
  const width = stage.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const height = stage.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
  const ratio = hit.width_px / hit.height_px || 1.4;
  const w = Math.min(width, height * ratio, Math.max(hit.width_px * 2, 640));
  zoom.lay(photo, w, w / ratio);
}

/** @param {string} kind */
const toAlbum = (kind) => needs("mark", button("Add to album …", () => openAdd([hit.image_id], () => hit && learn(hit)), kind, "more"));

const NO_HEAT = { button: null, legend: null };
const heatOf = () =>
  heatButton(
    () => photo,
    () => hit.image_id,
  );

function fillPanel(at) {
  const signs = h(
    "div",
    { class: "view-signs" },
    h(
      "button",
      { type: "button", class: "button yes", on: { click: () => marks.toggle(hit.image_id, true) } },
      icon("tick"),
      "Relevant",
    ),
    h(
      "button",
      { type: "button", class: "button no", on: { click: () => marks.toggle(hit.image_id, false) } },
      icon("cross"),
      "Irrelevant",
    ),
  );
  const reasons = h("div", { class: "why" });
  const heat = state.session ? heatOf() : NO_HEAT;
  const row = h(
    "div",
    { class: "view-row" },
    button("Why?", () => toggleWhy(true), "quiet small-button", "why"),
    heat.button,
    button("More like this", () => like(), "quiet small-button", "like"),
    needs("mark", button("Ask", () => askAbout(hit), "quiet small-button", "ask")),
    toAlbum("quiet small-button"),
  );
  fill(
    panel,
    h(
      "div",
      { class: "view-head" },
      h("h2", { text: nameOf(hit), title: nameOf(hit) }),
      at >= 0 && h("span", { class: "muted small number", text: `${at + 1} / ${state.hits.length}` }),
      needs("mark", iconButton("star", "Favourite (v)", () => toggleFavourite(hit), { class: "quiet square star", "aria-pressed": "false" })),
      iconButton("cross", "Close (Esc)", closeViewer),
    ),
    h(
      "div",
      { class: "view-body" },
      state.session && signs,
      state.session &&
        h("p", {
          class: "note view-hint",
          text: "Drag on the picture to mark a part of it. Click marks the whole.",
        }),
      h("div", { class: "view-marked" }),
      state.session
        ? row
        : h(
            "div",
            { class: "view-signs" },
            button("More like this", like, "button", "like"),
            needs("mark", button("Ask", () => askAbout(hit), "button", "ask")),
            toAlbum("button"),
          ),
      state.session && heat.legend,
      reasons,
      facts(),
    ),
    state.session &&
      h(
        "div",
        { class: "view-foot" },
        button("Look again", () => (closeViewer(), lookAgain()), "primary", "again"),
      ),
  );
  if (whyShown) showReasons(reasons, hit);
}

/** @param {boolean} [flip] shown reasons are hidden again */
export function toggleWhy(flip = false) {
  const host = panel.querySelector(".why");
  if (!host || !hit) return;
  whyShown = flip ? !whyShown : true;
  if (whyShown) showReasons(host, hit);
  else fill(host);
}

/** Switches the heat map. */
export const toggleHeat = () => /** @type {HTMLElement|null} */ (panel.querySelector(".heat-button"))?.click();

/** Puts the keyboard on a box's words. @param {string} key */
export const editHere = (key) => editCaption(/** @type {HTMLElement} */ (panel.querySelector(".view-marked")), hit.image_id, key);

/** What a key does to the zoom, if anything. @param {string} key */
export const zoomKey = (key) =>
  ({ "+": () => zoom.by(1.5), "=": () => zoom.by(1.5), "-": () => zoom.by(1 / 1.5), 0: () => zoom.reset() })[key];

/** @param {-1|0|1} dx @param {-1|0|1} dy */
export const pan = (dx, dy) => zoom.pan(dx, dy);

/** A search for pictures like this one, or like its selected box. */
export function like() {
  const box =
    boxesOf(hit.image_id).find((judgement) => judgement.key === state.selected)?.box ??
    state.drafts.find((draft) => draft.key === state.selected)?.box;
  const parts = [{ image_id: hit.image_id, weight: 1, ...(box ? { box } : {}) }];
  closeViewer();
  searchFor(parts);
}

const alike = () => (hit.time_s == null ? "that look the same" : "scenes of the video and its copies");

/** @param {any} known the server's answer, once it is there @param {Api.Album[]} holding albums that hold the picture */
function knownRows(known, holding) {
  /** @type {[string, any][]} */ const rows = [...factsOf(hit, known)];
  if (holding.length) rows.push(["Albums", holding.flatMap(({ name }, at) => [at ? ", " : "", h("bdi", { text: name })])]);
  return rows.flatMap(([name, value]) => [h("dt", { class: "known", text: name }), h("dd", { class: "known" }, ...[value].flat())]);
}

/** Puts in what the server knows; the buttons below stay, for somebody may be on one. */
function tell(known, holding) {
  const list = panel.querySelector(".view-facts");
  for (const earlier of list?.querySelectorAll(".known") ?? []) earlier.remove();
  list?.prepend(...knownRows(known, holding));
}

function facts() {
  return h(
    "dl",
    { class: "view-facts" },
    ...knownRows(null, []),
    ...(hit.folded?.length
      ? [
          h("dt", { text: "Stands for" }),
          h("dd", {}, button(`${hit.folded.length} more ${alike()}`, () => openCopiesOf(hit), "quiet small-button", "copies")),
        ]
      : []),
    h("dt", { text: "Original" }),
    h(
      "dd",
      { class: "view-row" },
      h("a", {
        href: original(hit),
        download: fileName(hit.path),
        text: "Download",
      }),
      button("Copy path", () => copyPaths([hit]), "quiet small-button"),
      state.library.shows_folders && button("Show in folder", () => showInFolder(hit), "quiet small-button", "folder"),
      h("a", {
        href: original(hit),
        target: "_blank",
        rel: "noopener",
        text: "Open the file",
      }),
    ),
  );
}

/** Marks, boxes and pressed buttons. */
function refresh() {
  const whole = markOf(hit.image_id);
  photo.classList.toggle("marked-relevant", whole?.relevant === true);
  photo.classList.toggle("marked-irrelevant", whole?.relevant === false);
  panel.querySelector(".view-signs .yes")?.setAttribute("aria-pressed", String(whole?.relevant === true));
  panel.querySelector(".view-signs .no")?.setAttribute("aria-pressed", String(whole?.relevant === false));
  panel.querySelector(".star")?.setAttribute("aria-pressed", String(isFavourite(hit.image_id)));
  layer?.render();
  showMarksOf(/** @type {HTMLElement} */ (panel.querySelector(".view-marked")), hit.image_id);
}
