/** The pictures of one album, for who has a link to it. It knows nothing of the rest of the page. */

import { byId, h, plural } from "./dom.js";

const SHARED = "/api/v1/shared";
const ROW_PX = 220;
const large = /** @type {HTMLDialogElement} */ (byId("large"));
/** @type {{image_id: number, width_px: number, height_px: number}[]} */
let images = [];
let at = 0;

/** @param {number} id @param {number} size_px */
const address = (id, size_px) => `${SHARED}/images/${id}/thumbnail?size=${size_px}`;
/** @param {number} number */
const place = (number) => `Picture ${number + 1} of ${images.length}`;

async function load() {
  const response = await fetch(SHARED).catch(() => null);
  if (!response) return tell("The server cannot be reached. Load this page again later.");
  if (response.status === 401) return tell("This link has ended. Ask whoever sent it for another one.");
  if (!response.ok) return tell("There is no album here now. Ask whoever sent you the link.");
  const album = await response.json();
  images = album.images;
  document.title = `${album.name} · Relook`;
  byId("name").textContent = album.name;
  const until = new Date(album.ends_s * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  tell(`${plural(images.length, "picture")}, to look at until ${until}`);
  byId("pictures").append(...images.map(tile));
}

/** @param {string} words */
function tell(words) {
  byId("about").textContent = words;
}

/** @param {{image_id: number, width_px: number, height_px: number}} image @param {number} number */
function tile(image, number) {
  const { image_id, width_px, height_px } = image;
  const picture = h("img", {
    src: address(image_id, 320), alt: place(number), width: width_px, height: height_px, loading: "lazy",
  });
  const shape = Math.min(Math.max(width_px / height_px, 0.4), 3);
  const item = h("li", {}, h("button", { type: "button", on: { click: () => show(number) } }, picture));
  item.style.maxWidth = `min(100%, ${Math.round(shape * ROW_PX * 1.6)}px)`;
  item.style.flex = `${shape} 1 ${Math.round(shape * ROW_PX)}px`;
  return item;
}

/** @param {number} number */
function show(number) {
  at = Math.min(Math.max(number, 0), images.length - 1);
  const picture = /** @type {HTMLImageElement} */ (byId("picture"));
  picture.src = address(images[at].image_id, 1280);
  picture.alt = place(at);
  byId("place").textContent = place(at);
  /** @type {HTMLButtonElement} */ (byId("before")).disabled = at === 0;
  /** @type {HTMLButtonElement} */ (byId("after")).disabled = at === images.length - 1;
  if (!large.open) large.showModal();
}

byId("before").addEventListener("click", () => show(at - 1));
byId("after").addEventListener("click", () => show(at + 1));
byId("close").addEventListener("click", () => large.close());
large.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") show(at - 1);
  if (event.key === "ArrowRight") show(at + 1);
});
load();
