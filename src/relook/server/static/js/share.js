/** Menus of the bar: how pictures are shown, and what leaves the page (a link, files). */

import * as api from "./api.js";
import { openSave } from "./concepts.js";
import { button, h } from "./dom.js";
import { toast } from "./notices.js";
import { openPick } from "./pick.js";
import { address } from "./rounds.js";
import { nameField } from "./sessions.js";
import { keep, pageSize, set, state } from "./state.js";

/** Opens a menu below its button. @param {HTMLElement} opener @param {HTMLElement[]} items */
export function openMenu(opener, items) {
  const open = /** @type {HTMLElement|null} */ (document.querySelector(".menu"));
  const same = open?.dataset.opener === opener.textContent;
  open?.hidePopover();
  if (same) return;
  const menu = h(
    "div",
    { class: "menu", popover: "auto", "aria-label": opener.textContent, data: { opener: opener.textContent } },
    ...items,
  );
  document.body.append(menu);
  menu.addEventListener(
    "toggle",
    (event) => event.newState === "closed" && (menu.remove(), opener.setAttribute("aria-expanded", "false")),
  );
  menu.addEventListener("click", (event) => event.target.closest("a, button") && menu.hidePopover());
  menu.addEventListener("keydown", (event) => walk(event, menu, opener));
  menu.showPopover();
  const at = opener.getBoundingClientRect();
  menu.style.top = `${at.bottom + 4}px`;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - menu.offsetWidth - 8))}px`;
  opener.setAttribute("aria-expanded", "true");
  /** @type {HTMLElement|null} */ (menu.querySelector("a, button, input"))?.focus();
}

function walk(event, menu, opener) {
  const stops = [...menu.querySelectorAll("a, button, input, select")];
  const at = stops.indexOf(document.activeElement);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    stops[(at + (event.key === "ArrowDown" ? 1 : -1) + stops.length) % stops.length]?.focus();
  } else if (event.key === "Escape") {
    event.stopPropagation();
    menu.hidePopover();
    opener.focus();
  }
}

/** @returns {HTMLElement[]} */
export function shareItems() {
  const L = state.library.library_id;
  const S = state.session.session_id;
  const file = (label, format, what) =>
    h("a", { class: "quiet", href: api.exportUrl(L, S, format, what), download: "", text: label });
  const close = () => /** @type {any} */ (document.querySelector(".menu"))?.hidePopover();
  return [
    h("label", { class: "menu-name" }, h("span", { class: "small muted", text: "Name, Enter keeps it" }), nameField(state.session, close)),
    h("hr"),
    button("Keep what it learnt", openSave, "quiet", "flag"),
    h("hr"),
    button("Copy link to this session", copyLink, "quiet", "share"),
    h("hr"),
    button("Choose pictures …", () => openPick(state.hits), "quiet", "tick"),
    file("Results as CSV", "csv", "results"),
    file("Results as JSON", "json", "results"),
    file("Originals as zip", "zip", "results"),
    h("hr"),
    file("Session as JSON", "json", "session"),
  ];
}

async function copyLink() {
  const link = location.origin + address();
  try {
    await navigator.clipboard.writeText(link);
    toast("Link copied.", { hint: "It opens for whoever can reach this server." });
  } catch {
    toast("The link of this session:", { hint: link }); // no clipboard without https or localhost
  }
}

/** @returns {HTMLElement[]} */
export function viewItems() {
  const scores = check("Show scores", state.scores, (on) => set({ scores: on }, "view"));
  const size = h(
    "select",
    { class: "field", "aria-label": "Pictures on a page" },
    ...[...new Set([pageSize(), 12, 30, 60, 200, 1000])].sort((a, b) => a - b).map((n) => h("option", { value: n, text: String(n) })),
  );
  size.value = String(pageSize());
  size.addEventListener("change", () => {
    keep("page-size", Number(size.value));
    set({}, "view");
    toast(`From the next search on, a page has up to ${size.value} pictures.`);
  });
  return [scores, h("label", { class: "check quiet" }, "Pictures on a page", size)];
}

/** @param {string} label @param {boolean} on @param {(on: boolean) => void} changed */
export function check(label, on, changed) {
  const box = h("input", { type: "checkbox", on: { change: (event) => changed(event.target.checked) } });
  box.checked = on;
  return h("label", { class: "check quiet" }, box, label);
}
