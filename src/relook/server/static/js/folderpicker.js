/** A choice among the folders of the server's machine that may be indexed. */

import * as api from "./api.js";
import { button, count, fill, h, icon, plural } from "./dom.js";

/**
 * Shows the folders; closed again, the place is empty.
 * @param {HTMLElement} host @param {string} libraryId @param {(path: string) => void} choose
 */
export function openFolders(host, libraryId, choose) {
  const close = () => fill(host);
  const show = async (path = "") => {
    try {
      const listed = await api.folders(libraryId, path);
      fill(host, view(listed));
    } catch (error) {
      fill(host, h("p", { class: "note", role: "alert", text: `${error.message} ${error.hint}` }), row(close));
    }
    /** @type {HTMLElement|null} */ (host.querySelector(".folder-choices button, button"))?.focus();
  };
  const row = (...buttons) => h("div", { class: "folder-foot" }, ...buttons.filter((each) => each instanceof Node), button("Close the list", close));
  const line = (name, path, picture) => h("li", {}, h("button", { type: "button", class: "quiet", title: path, on: { click: () => show(path) } }, icon(picture), h("span", { class: "name", text: name })));
  const view = (/** @type {Api.FolderList} */ listed) => {
    const add = button(`Add this folder${listed.n_pictures ? ` (${plural(listed.n_pictures, "picture")} and what is below)` : ""}`, () => (close(), choose(listed.path ?? "")), "primary");
    const up = listed.path === null ? null : line(listed.above === null ? "Back to the beginning" : "One folder up", listed.above ?? "", "left");
    const lines = listed.folders.map((folder) => line(folder.name, folder.path, "folder"));
    return h(
      "div",
      { class: "folder-picker", role: "group", "aria-label": "Folders" },
      listed.path === null ? h("p", { class: "note", text: "Begin with:" }) : h("code", { text: listed.path }),
      h("ul", { class: "folder-choices" }, up, ...lines),
      lines.length ? null : h("p", { class: "note", text: listed.path === null ? "This server allows no folder: start it with --allow-folder DIR." : `No folder in it. ${count(listed.n_pictures)} files with a picture's suffix.` }),
      h("div", { class: "folder-foot" }, listed.may_add ? add : null, button("Close the list", close)),
    );
  };
  show();
}
