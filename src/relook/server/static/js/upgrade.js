/** An older encoder made the library: what going over to the present one takes, and a button. */

import * as api from "./api.js";
import { button, count, fill, h, plural } from "./dom.js";
import { duration } from "./jobs.js";
import { may, state } from "./state.js";

/**
 * Shows the offer in a place; nothing where there is none. It never begins by itself.
 * @param {HTMLElement} host
 * @param {() => void} begin
 */
export async function showUpgrade(host, begin) {
  const { library } = state;
  if (!library?.upgrade || !may("index")) return fill(host);
  const takes = h("p", { class: "note", text: "Finding out how long it takes…" });
  const start = button(library.upgrade.begun ? "Go on with the upgrade" : "Upgrade", begin);
  fill(
    host,
    h("h3", { text: "Made by an older encoder" }),
    h("p", {
      class: "note",
      text:
        `Version ${library.encoder_revision} of the encoder made this library; now there is ${library.upgrade.after}. ` +
        "An upgrade makes its vectors again. Marks, captions and searches are kept.",
    }),
    takes,
    start,
  );
  try {
    takes.textContent = cost(await api.upgradeCost(library.library_id));
  } catch (error) {
    takes.textContent = `${error.message} ${error.hint ?? ""}`;
  }
}

/** @param {Api.UpgradeCost} cost */
function cost({ n_images, n_left, n_away, seconds, n_bytes }) {
  const done = n_left < n_images ? ` (${count(n_images - n_left)} are done)` : "";
  const time = seconds === null ? "" : `, about ${duration(seconds)}`;
  const room = `, ${Math.max(1, Math.round(n_bytes / 1e6))} MB on the disk meanwhile`;
  const away = n_away
    ? `. ${count(n_away)} are away, and will not be found until they come back and are indexed`
    : "";
  return `${plural(n_left, "picture")}${done}${time}${room}${away}.`;
}
