/** Paths of pictures on the clipboard. */

import { plural } from "./dom.js";
import { toast } from "./notices.js";

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
