/** Says things: toasts, the live region for screen readers, busy line. */

import * as api from "./api.js";
import { button, byId, h, iconButton } from "./dom.js";

let n_busy = 0;

/** Kept here, for a dialog that shows something else takes out what lies in it. @type {HTMLElement} */
const host = byId("toasts");

document.addEventListener(
  "close",
  (event) => /** @type {Element} */ (event.target).contains(host) && document.body.append(host),
  { capture: true },
);

/** Read aloud, not shown. @param {string} text */
export function announce(text) {
  const live = byId("live");
  live.textContent = "";
  requestAnimationFrame(() => (live.textContent = text));
}

/**
 * @param {string} text @param {{hint?: string, bad?: boolean, action?: {label: string, run: () => void}}} [more]
 */
export function toast(text, { hint = "", bad = false, action } = {}) {
  const close = () => made.remove();
  const made = h(
    "div",
    { class: bad ? "toast bad" : "toast", role: bad ? "alert" : "status" },
    h("p", {}, h("span", { text }), hint ? h("span", { class: "hint", text: ` ${hint}` }) : null),
    action ? button(action.label, () => (close(), action.run()), "quiet") : null,
    iconButton("cross", "Close this message", close),
  );
  // Outside of an open dialog it would lie in the dark, out of reach.
  ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(host);
  host.append(made);
  while (host.children.length > 3) host.firstChild?.remove();
  setTimeout(close, bad || action ? 14000 : 6000); // what asks for a decision stays longer
}

/** Shows any failure with what to do next. @param {any} error */
export function complain(error) {
  if (error?.name === "AbortError" || error?.status === 0 || error?.status === 401) return; // the bar tells these
  if (!(error instanceof api.ApiError)) console.error(error);
  toast(error?.message || "Something went wrong on this page.", {
    hint: error?.hint ?? "Reload the page.",
    bad: true,
  });
}

/** Shows the busy line while something runs. @template T @param {Promise<T>} work @returns {Promise<T>} */
export async function busy(work) {
  n_busy += 1;
  const shown = setTimeout(() => (byId("busy").hidden = false), 80);
  try {
    return await work;
  } finally {
    clearTimeout(shown);
    n_busy -= 1;
    if (!n_busy) byId("busy").hidden = true;
  }
}
