/** Copies: groups of equal and near-equal pictures, what differs, which to keep and why. Nothing is deleted. */

import * as api from "./api.js";
import { button, count, fileName, fill, h, iconButton, plural } from "./dom.js";
import { busy, complain } from "./notices.js";
import { remember, state } from "./state.js";
import { openImage } from "./viewer.js";

const PART = 20; // groups that are shown at a time
const dialog = h("dialog", { class: "sheet copies", "aria-labelledby": "copies-title" });
const body = h("div", { class: "sheet-body" });

export function setUpCopies() {
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation());
}

const L = () => state.library.library_id;

function show(title, ...children) {
  fill(
    dialog,
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "copies-title", text: title }),
      iconButton("cross", "Close (Esc)", () => dialog.close()),
    ),
    body,
  );
  fill(body, ...children);
  if (!dialog.open) dialog.showModal();
}

/** The copies that one hit stands for. @param {import("./state.js").Hit} hit */
export async function openCopiesOf(hit) {
  try {
    const group = await busy(api.copiesOf(L(), [hit.image_id, ...(hit.folded ?? [])]));
    show(`${plural(group.copies.length, "copy", "copies")} of ${fileName(hit.path)}`, groupOf(group));
  } catch (error) {
    complain(error);
  }
}

/** All groups of the library. */
export async function openCopies() {
  try {
    const found = await busy(api.copies(L(), 0, PART));
    if (!found.n_groups) return show("Copies", h("p", { text: "No picture of this library is a copy of another." }));
    const list = h("div", { class: "copy-groups" }, ...found.groups.map(groupOf));
    const more = h("div", {});
    show(
      `Copies: ${plural(found.n_groups, "group")}`,
      h("p", {
        class: "note",
        text: `${plural(found.n_others, "picture")} more than needed, ${megabytes(found.n_bytes)}. Nothing is deleted here: take a list, or a script that moves the others into a folder of your choice.`,
      }),
      h(
        "div",
        { class: "view-row" },
        ...[["List as CSV", "csv"], ["As JSON", "json"], ["Script that moves", "sh"]].map(([label, format]) =>
          h("a", { class: "button small-button", href: api.copiesUrl(L(), format), download: "", text: label }),
        ),
      ),
      list,
      more,
    );
    extend(list, more, found.groups.length, found.n_groups);
  } catch (error) {
    complain(error);
  }
}

function extend(list, more, n_shown, n_groups) {
  if (n_shown >= n_groups) return fill(more);
  const next = async () => {
    try {
      const { groups } = await busy(api.copies(L(), n_shown, PART));
      list.append(...groups.map(groupOf));
      extend(list, more, n_shown + groups.length, groups.length ? n_groups : 0);
    } catch (error) {
      complain(error);
    }
  };
  fill(more, button(`Show more of ${count(n_groups)} groups`, next));
}

const megabytes = (n) => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;

/** @param {Api.CopyGroup} group */
function groupOf(group) {
  remember(group.copies.filter((copy) => !state.pictures.has(copy.image_id)).map((copy) => /** @type {any} */ (copy)));
  const differs = group.differs.length ? `Differ in ${group.differs.join(", ")}.` : "The same in everything.";
  return h(
    "section",
    { class: "copy-group" },
    h("p", { class: "small" }, h("strong", { text: differs })),
    h("ul", {}, ...group.copies.map((copy, at) => copyOf(copy, at === 0, group))),
  );
}

/** @param {Api.Copy} copy @param {boolean} kept @param {Api.CopyGroup} group */
function copyOf(copy, kept, group) {
  const facts = [
    `${copy.width_px} × ${copy.height_px}`,
    megabytes(copy.size_bytes),
    copy.format,
    copy.sharpness === null || copy.sharpness === undefined ? null : `sharpness ${copy.sharpness.toFixed(1)}`,
    copy.taken_at.slice(0, 10) || null,
    plural(copy.n_facts, "fact"),
  ];
  const what = kept ? `Suggested to keep${group.why ? `: ${group.why}` : ""}` : copy.is_same_file ? "The same file" : "Near copy";
  return h(
    "li",
    { class: kept ? "kept" : "" },
    h(
      "button",
      {
        type: "button",
        class: "copy-picture",
        "aria-label": `Show ${fileName(copy.path)} larger`,
        on: { click: () => openImage(copy.image_id) },
      },
      h("img", { src: api.thumbnail(L(), copy, 160), alt: "", loading: "lazy" }),
    ),
    h(
      "div",
      {},
      h("p", { class: kept ? "copy-why" : "small muted", text: what }),
      h("p", { class: "small number", text: facts.filter(Boolean).join(" · ") }),
      h("p", { class: "small muted path", text: copy.path }),
    ),
  );
}
