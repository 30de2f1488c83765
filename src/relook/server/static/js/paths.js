/** Where pictures lie: paths on the clipboard, folders in this machine's file manager. */

import * as api from "./api.js";
import { plural } from "./dom.js";
import { complain, toast } from "./notices.js";
import { state } from "./state.js";

/** @param {any[]} images */
export async function copyPaths(images) {
  const text = images.map((image) => image.path).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    toast(images.length === 1 ? "Path copied." : `${plural(images.length, "path")} copied.`);
  } catch {
    toast("This browser gives no clipboard here.", { hint: text.slice(0, 300) });
  }
}

/** @param {any} image */
export async function showInFolder(image) {
  try {
    const { folder, name } = await api.showInFolder(state.library.library_id, image.image_id);
    toast(`${name} is in ${folder}, which your file manager shows.`);
  } catch (error) {
    complain(error);
  }
}
