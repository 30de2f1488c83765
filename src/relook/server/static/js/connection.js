/** Whether the server answers: a stream that ends with it, the bar that says so, and what waits until it is back. */

import * as api from "./api.js";
import { button, byId, fill, h } from "./dom.js";
import { announce } from "./notices.js";

const TRY_MS = 3000;

/** @type {EventSource|null} */
let source = null;
let timer = 0;
/** What is done when the server is back. @type {{words: string, run: () => any}|null} */
let waiting = null;

const ask = () => api.health().then(isBack, () => undefined); // a failure tells the bar by itself

export function watchConnection() {
  window.addEventListener("relook:offline", isAway);
  window.addEventListener("relook:token", () => showTokenForm(byId("connection")));
  window.addEventListener("online", listen);
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : listen()));
  if (!document.hidden) listen();
}

/** Hears at once when the server goes. A page that nobody sees leaves: a browser has few connections to one server. */
export function listen() {
  leave();
  source = new EventSource(api.serverEventsUrl);
  source.addEventListener("hello", isBack);
  source.addEventListener("error", ask);
}

function leave() {
  source?.close();
  source = null;
}

/**
 * Keeps the newest request that the server did not answer; it is sent again when the server is back.
 * @param {string} words what the bar says of it @param {() => any} run
 */
export function whenBack(words, run) {
  waiting = { words, run };
  if (timer) show();
}

/** What was to be sent again is out of date. */
export function forgetWaiting() {
  waiting = null;
}

function isAway() {
  if (timer) return;
  timer = window.setInterval(ask, TRY_MS);
  show();
}

function isBack() {
  if (!timer) return;
  clearInterval(timer);
  timer = 0;
  byId("connection").hidden = true;
  announce("The server answers again.");
  if (!source || source.readyState === EventSource.CLOSED) listen();
  const again = waiting;
  waiting = null;
  again?.run();
}

function show() {
  const bar = byId("connection");
  fill(
    bar,
    h("strong", { text: "The Relook server does not answer." }),
    h(
      "span",
      {},
      "Start it again with ",
      h("code", { text: "relook serve" }),
      `. This page tries every 3 s and goes on where it was. ${waiting?.words ?? ""}`,
    ),
    button("Try now", ask),
  );
  bar.hidden = false;
}

/** @param {HTMLElement} bar */
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
