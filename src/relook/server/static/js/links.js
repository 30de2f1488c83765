/** Links to one album: making one, copying it, and ending those that there are. */

import * as api from "./api.js";
import { button, fill, h, iconButton, needs, plural } from "./dom.js";
import { announce, complain } from "./notices.js";
import { state } from "./state.js";

const MOST_DAYS = 366;
const DAY_S = 86_400;
const dialog = h("dialog", { class: "sheet album links", "aria-labelledby": "links-title" });
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation());

/** The button that opens the dialog; nothing where no link opens anything. @param {Api.Album} album */
export const shareButton = (album) =>
  state.me?.links_open ? needs("index", button("Share this album", () => openLinks(album), "button small-button", "share")) : null;

/** @param {Api.Album} album */
async function openLinks(album) {
  const made = h("div", { class: "made-link" });
  const list = h("ul", { class: "link-list" });
  const trouble = h("p", { class: "trouble", role: "alert" });
  const days = h("input", { class: "field", type: "number", name: "days", min: "1", max: String(MOST_DAYS), step: "1", value: "7", required: true });
  const go = h("button", { class: "primary", text: "Make a link" });
  const submit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    trouble.textContent = "";
    try {
      const { path } = await api.shareAlbum(state.library.library_id, album.album_id, { lasts_s: Math.round(Number(days.value) * DAY_S) });
      showMade(made, location.origin + path);
      await showLinks(list);
    } catch (error) {
      trouble.textContent = `${error.message} ${error.hint}`;
    } finally {
      go.disabled = false;
    }
  };
  fill(
    dialog,
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "links-title" }, "Share “", h("bdi", { text: album.name }), "”"),
      iconButton("cross", "Close (Esc)", () => dialog.close()),
    ),
    h(
      "div",
      { class: "sheet-body" },
      h("p", {
        class: "note",
        text: `Whoever has the link sees the ${plural(album.n_images, "picture")} of this album, without names, places and times, and nothing else. What you put in or take out counts at once.`,
      }),
      h(
        "form",
        { class: "add", on: { submit } },
        h("label", { class: "labelled" }, h("span", { text: "Days until it ends" }), days),
        go,
      ),
      trouble,
      made,
      h("h3", { id: "links-list", tabindex: "-1", text: "Links of this library" }),
      list,
    ),
  );
  document.body.append(dialog); // after the sheet that it opens from
  dialog.showModal();
  days.select();
  await showLinks(list).catch(complain);
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** The address of a new link, which is told this once. @param {HTMLElement} host @param {string} link */
function showMade(host, link) {
  const field = h("input", { class: "field", readonly: true, "aria-label": "The link", value: link, dir: "ltr" });
  field.addEventListener("focus", () => field.select());
  const hints = ["It is shown this once."];
  if (LOOPBACK.test(location.hostname)) hints.push("This address opens on this machine only: open the page at the address that others use.");
  const note = h("p", { class: "note", role: "status", text: hints.join(" ") });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(link);
      note.textContent = ["Copied.", ...hints].join(" ");
    } catch {
      field.focus(); // no clipboard without https or localhost
      note.textContent = ["Copy it from its field.", ...hints].join(" ");
    }
  };
  fill(host, h("div", { class: "add" }, field, button("Copy link", copy, "button", "share")), note);
  /** @type {HTMLElement} */ (host.querySelector("button")).focus();
}

/** @param {HTMLElement} list */
async function showLinks(list) {
  const { links } = await api.links(state.library.library_id);
  const rows = links.map((/** @type {Api.Link} */ link) => row(link, list));
  fill(list, ...(rows.length ? rows : [h("li", { class: "note", text: "There is none now." })]));
}

const when = (seconds) => new Date(seconds * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

/** @param {Api.Link} link @param {HTMLElement} list */
function row(link, list) {
  const of = link.album === null ? "The whole library" : link.album;
  const by = link.made_by === "console" ? "the command line" : link.made_by;
  const end = button("End", () => endLink(link, list), "button small-button");
  end.setAttribute("aria-label", `End the link to ${of}, made by ${by}`);
  return h(
    "li",
    { class: "job-row" },
    h(
      "div",
      {},
      h("bdi", { class: "name", text: of }),
      h("p", { class: "small muted" }, "by ", h("bdi", { text: by }), `, until ${when(link.ends_s)}`),
      link.is_there ? null : h("p", { class: "small", text: "It shows nothing: there is no album of this name now." }),
    ),
    end,
  );
}

/** @param {Api.Link} link @param {HTMLElement} list */
async function endLink(link, list) {
  try {
    await api.endLink(state.library.library_id, link.name);
    announce("The link has ended.");
  } catch (error) {
    complain(error);
  }
  await showLinks(list).catch(complain); // somebody else may have ended it
  dialog.querySelector("#links-list").focus();
}
