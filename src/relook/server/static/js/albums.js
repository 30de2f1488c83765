/** Albums that a person fills, and Favourites, the one that is always there: star, put together, rename, take away. */

import * as api from "./api.js";
import { button, count, fill, h, iconButton, needs, plural } from "./dom.js";
import { shareButton } from "./links.js";
import { announce, complain, toast } from "./notices.js";
import { on, set, state } from "./state.js";

/** @typedef {Api.Album} Album */

const FAVOURITES_ID = 1;
const MOST = 1000; // the server takes no more at once
const dialog = h("dialog", { class: "sheet album", "aria-labelledby": "album-title" });
document.body.append(dialog);
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation());

const L = () => state.library.library_id;
/** The library whose stars are known, or on their way. */
let learnt = "";

export function setUpAlbums() {
  on("library", learnFavourites);
  // Somebody else, or a command, may have starred something meanwhile.
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && learnFavourites());
}

async function learnFavourites() {
  if (!state.library) return;
  const id = (learnt = L());
  try {
    const { image_ids: ids } = await api.album(id, FAVOURITES_ID);
    if (id === learnt) set({ favourites: new Set(ids) }, "favourites");
  } catch {
    learnt = ""; // the page works without stars
  }
}

/** @param {number} imageId */
export const isFavourite = (imageId) => state.favourites.has(imageId);

/** Puts a star on a picture, or takes it off. @param {import("./state.js").Hit|undefined} hit */
export async function toggleFavourite(hit) {
  if (!hit) return;
  const id = hit.image_id;
  const adds = !isFavourite(id);
  flip(id, adds);
  try {
    await (adds ? api.addToAlbum : api.removeFromAlbum)(L(), FAVOURITES_ID, [id]);
    announce(adds ? "In Favourites" : "Not in Favourites any more");
  } catch (error) {
    flip(id, !adds);
    complain(error);
  }
}

/** @param {number} id @param {boolean} isIn */
function flip(id, isIn) {
  const favourites = new Set(state.favourites);
  if (isIn) favourites.add(id);
  else favourites.delete(id);
  set({ favourites }, "favourites");
}

/** The albums of the library, Favourites first. @param {number} [imageId] only those that hold it @returns {Promise<Album[]>} */
export const albums = async (imageId) => (await api.albums(L(), imageId)).albums;

/** What an album holds that is not shown now. @param {Album} album */
const hidden = ({ n_away, n_removed }) =>
  [n_away && `${count(n_away)} away`, n_removed && `${count(n_removed)} not there now`].filter(Boolean).join(", ");

/** How much an album holds. @param {Album} album */
const holds = (album) => [plural(album.n_images, "picture"), hidden(album)].filter(Boolean).join(", ");

const sameName = (a, b) => a.localeCompare(b, undefined, { sensitivity: "accent" }) === 0;

/** Asks for an album, old or new, and puts pictures there. @param {number[]} ids @param {() => void} [done] */
export async function openAdd(ids, done = () => undefined) {
  try {
    const known = await albums();
    const name = h("input", {
      class: "field",
      name: "album",
      "aria-label": "Name of a new album",
      placeholder: "Sardinia 2019",
      maxlength: "200",
      autocomplete: "off",
      dir: "auto",
    });
    const note = h("p", { class: "note", role: "alert" });
    const put = (target) => putInto(target, ids).then(() => (dialog.close(), done()));
    const refused = (error) => (note.textContent = `${error.message} ${error.hint ?? ""}`);
    const submit = (event) => {
      event.preventDefault();
      const old = known.find((album) => sameName(album.name, name.value.trim()));
      (old ? put(old) : make(name.value, ids).then(() => (dialog.close(), done()))).catch(refused);
    };
    show(
      `Add ${plural(ids.length, "picture")} to an album`,
      h("ul", { class: "album-list" }, ...known.map((album) => h("li", {}, choice(album, () => put(album).catch(refused))))),
      h("form", { class: "add", on: { submit } }, name, h("button", { class: "primary", text: "New album" })),
      note,
    );
  } catch (error) {
    complain(error);
  }
}

/** @param {Album} album @param {() => void} run */
const choice = (album, run) =>
  h(
    "button",
    { type: "button", class: "quiet name", on: { click: run } },
    h("span", { class: "name", title: album.name }, h("bdi", { text: album.name })),
    h("span", { class: "small muted number", text: holds(album) }),
  );

/** @param {string} name @param {number[]} ids */
async function make(name, ids) {
  const { album } = await api.createAlbum(L(), { name, image_ids: ids.slice(0, MOST) });
  await inParts(ids.slice(MOST), (some) => api.addToAlbum(L(), album.album_id, some));
  toast(`“${album.name}” has ${plural(ids.length, "picture")}.`, { hint: "It is in the library view, and among the filters." });
}

/** @param {Album} album @param {number[]} ids */
async function putInto(album, ids) {
  const before = new Set((await api.album(L(), album.album_id)).image_ids);
  const fresh = ids.filter((id) => !before.has(id));
  await inParts(fresh, (some) => api.addToAlbum(L(), album.album_id, some));
  changed(album);
  if (!fresh.length) return toast(`“${album.name}” has them already.`);
  toast(`${plural(fresh.length, "picture")} added to “${album.name}”.`, {
    action: { label: "Undo", run: () => takeOut(album, fresh).catch(complain) },
  });
}

/** @param {Album} album @param {number[]} ids */
const takeOut = async (album, ids) => {
  await inParts(ids, (some) => api.removeFromAlbum(L(), album.album_id, some));
  changed(album);
};

/** Takes pictures out, and offers to put them back. @param {Album} album @param {number[]} ids @param {() => void} done */
export async function removeFrom(album, ids, done) {
  try {
    await takeOut(album, ids);
    done();
    toast(`${plural(ids.length, "picture")} taken out of “${album.name}”.`, {
      action: { label: "Undo", run: () => putInto(album, ids).then(done, complain) },
    });
  } catch (error) {
    complain(error);
  }
}

/** @param {number[]} ids @param {(some: number[]) => Promise<any>} run */
async function inParts(ids, run) {
  for (let at = 0; at < ids.length; at += MOST) await run(ids.slice(at, at + MOST));
}

/** @param {Album} album */
const changed = (album) => album.album_id === FAVOURITES_ID && learnFavourites();

function show(title, ...children) {
  fill(
    dialog,
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "album-title", text: title }),
      iconButton("cross", "Close (Esc)", () => dialog.close()),
    ),
    h("div", { class: "sheet-body" }, ...children),
  );
  if (!dialog.open) dialog.showModal();
}

/**
 * What is done with the album whose pictures are shown.
 * @param {HTMLElement} host @param {string|undefined} name of the album; nothing is shown where there is none
 * @param {{renamed: (name: string) => void, deleted: () => void}} actions
 * @returns {Promise<Album|undefined>}
 */
export async function showTools(host, name, actions) {
  const album = name === undefined ? undefined : (await albums()).find((known) => sameName(known.name, name));
  if (!album) return void fill(host);
  const file = (label, format) =>
    h("a", { class: "button small-button", href: api.albumExportUrl(L(), album.album_id, format), download: "", text: label });
  fill(
    host,
    hidden(album) ? h("span", { class: "small muted number", text: hidden(album) }) : null,
    file("Zip", "zip"),
    file("CSV", "csv"),
    file("Paths", "paths"),
    shareButton(album),
    album.is_built_in ? null : needs("mark", button("Rename", () => renameField(host, album, actions), "button small-button", "pencil")),
    album.is_built_in ? null : needs("index", button("Delete", () => remove(album, actions), "button small-button", "bin")),
  );
  return album;
}

/** @param {HTMLElement} host @param {Album} album @param {{renamed: (name: string) => void}} actions */
function renameField(host, album, actions) {
  const field = h("input", { class: "field", value: album.name, "aria-label": "New name", maxlength: "200", dir: "auto" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      const { name } = await api.renameAlbum(L(), album.album_id, { name: field.value });
      if (state.only.where.album === album.name) set({ only: { ...state.only, where: { ...state.only.where, album: name } } }, "only");
      actions.renamed(name);
    } catch (error) {
      complain(error);
    }
  };
  fill(host, h("form", { class: "add", on: { submit } }, field, h("button", { class: "primary", text: "Rename" })));
  field.select();
}

/** @param {Album} album @param {{deleted: () => void}} actions */
async function remove(album, actions) {
  try {
    await api.deleteAlbum(L(), album.album_id);
    actions.deleted();
    toast(`“${album.name}” is deleted. Its pictures stay.`, {
      action: { label: "Undo", run: () => bringBack(album).catch(complain) },
    });
  } catch (error) {
    complain(error);
  }
}

/** @param {Album} album */
async function bringBack(album) {
  const { name } = await api.restoreAlbum(L(), album.album_id);
  toast(`“${name}” is back.`);
}

/** Lists the albums, in the library view. @param {HTMLElement} host @param {(name: string) => void} open */
export async function showAlbums(host, open) {
  const { albums: known, deleted } = await api.albums(L());
  const again = () => showAlbums(host, open).catch(complain);
  fill(
    host,
    h("h3", { text: "Albums" }),
    h("ul", { class: "album-list" }, ...known.map((album) => h("li", {}, choice(album, () => open(album.name))))),
    known.length > 1
      ? null
      : needs("mark", h("p", { class: "note", text: "v puts a star on a picture. Share, “Choose pictures …” puts many into an album." })),
    ...deleted.map((album) =>
      h(
        "p",
        { class: "note job-row" },
        h("span", {}, "“", h("bdi", { text: album.name }), "” is deleted."),
        needs("mark", button("Bring it back", () => bringBack(album).then(again, complain), "quiet small-button")),
      ),
    ),
  );
}
