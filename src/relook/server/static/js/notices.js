/** Says things: toasts, the live region for screen readers, busy line, and the lost-connection bar. */

import * as api from "./api.js";
import { button, byId, fill, h, iconButton } from "./dom.js";

let n_busy = 0;

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
  const host = byId("toasts");
  const close = () => made.remove();
  const made = h(
    "div",
    { class: bad ? "toast bad" : "toast", role: bad ? "alert" : "status" },
    h("p", {}, h("span", { text }), hint ? h("span", { class: "hint", text: ` ${hint}` }) : null),
    action ? button(action.label, () => (close(), action.run()), "quiet") : null,
    iconButton("cross", "Close this message", close),
  );
  host.append(made);
  while (host.children.length > 3) host.firstChild.remove();
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

/** Watches the connection; `again` runs when the server is back. @param {() => void} again */
export function watchConnection(again) {
  const bar = byId("connection");
  let timer = 0;
  const back = async () => {
    try {
      await api.health();
    } catch {
      return;
    }
    clearInterval(timer);
    timer = 0;
    bar.hidden = true;
    announce("The server answers again.");
    again();
  };
  window.addEventListener("relook:offline", () => {
    if (timer) return;
    timer = window.setInterval(back, 3000);
    fill(
      bar,
      h("strong", { text: "The Relook server does not answer." }),
      h(
        "span",
        {},
        "Start it again with ",
        h("code", { text: "relook serve" }),
        ". This page tries every 3 s and goes on where it was.",
      ),
      button("Try now", back),
    );
    bar.hidden = false;
  });
  window.addEventListener("relook:token", () => showTokenForm(bar));
}

function showTokenForm(bar) {
  if (bar.querySelector("form")) return;
  const field = h("input", {
    class: "field",
    name: "token",
    type: "password",
    "aria-label": "Token",
    autocomplete: "off",
    required: true,
  });
  const open = (event) => {
    event.preventDefault();
    const url = new URL(location.href);
    url.searchParams.set("token", field.value.trim());
    location.replace(url);
  };
  fill(
    bar,
    h("strong", { text: "This server asks for a token." }),
    h("span", { text: "relook serve printed it when it started; paste it here once." }),
    h("form", { class: "add", on: { submit: open } }, field, h("button", { class: "primary", text: "Open" })),
  );
  bar.hidden = false;
}
