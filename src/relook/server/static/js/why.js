/** Why a picture is here, what a mark did, and where in the picture it fits. */

import * as api from "./api.js";
import { button, fileName, fill, h, icon } from "./dom.js";
import { busy, complain } from "./notices.js";
import { settled } from "./marks.js";
import { state, strategy } from "./state.js";

const where = () => [state.library.library_id, state.session.session_id];

/**
 * The reasons of a hit as bars.
 * @param {HTMLElement} host @param {import("./state.js").Hit} hit
 */
export async function showReasons(host, hit) {
  fill(host, h("p", { class: "note", text: "Working it out …" }));
  try {
    await settled();
    const { score, reasons } = await api.why(...where(), hit.image_id, { strategy: strategy() });
    const most = Math.max(...reasons.map((reason) => Math.abs(reason.amount)), 1e-9);
    fill(
      host,
      h("p", { class: "note", text: `Score ${score.toFixed(3)} is the sum of:` }),
      h("ul", { class: "reasons" }, ...reasons.slice(0, 12).map((reason) => reasonRow(reason, most))),
      h("p", {
        class: "note",
        text: "It follows your marks as they are now, also those you made on this page.",
      }),
    );
  } catch (error) {
    fill(
      host,
      h("p", { class: "note", text: error.message }),
      error.hint ? h("p", { class: "note", text: error.hint }) : null,
    );
  }
}

function reasonRow(reason, most) {
  const down = reason.amount < 0;
  const bar = h("i");
  bar.style.width = `${(Math.abs(reason.amount) / most) * 100}%`;
  return h(
    "li",
    { class: down ? "reason down" : "reason" },
    h("span", { class: "name", title: reason.name }, ...reasonName(reason)),
    h("span", { class: "number", text: signed(reason.amount) }),
    h("span", { class: "track" }, bar),
  );
}

/** @param {number} amount */
function signed(amount) {
  const digits = Math.abs(amount).toFixed(3);
  return `${digits === "0.000" ? "" : amount < 0 ? "−" : "+"}${digits}`;
}

/** Who gave the share: words of the query, or one of the marks. */
function reasonName(reason) {
  const mark = state.judgements.find((row) => row.judgement_id === reason.judgement_id);
  if (!mark) {
    const minus = state.session.query.parts?.some((part) => part.text === reason.name && (part.weight ?? 1) < 0);
    return [h("span", { text: minus ? `without “${reason.name}”` : `“${reason.name}”` })];
  }
  const sign = icon(mark.relevant ? "tick" : "cross");
  sign.classList.add(mark.relevant ? "yes" : "no");
  const hit = state.pictures.get(mark.image_id) ?? { image_id: mark.image_id };
  const words = mark.caption || (mark.box ? "a part of it" : "the whole picture");
  return [
    sign,
    h("img", {
      src: api.thumbnail(state.library.library_id, hit, 80),
      alt: mark.relevant ? "relevant" : "irrelevant",
    }),
    h("span", { text: words }),
  ];
}

/** What one mark moved. @param {HTMLElement} host @param {number} judgementId @param {(hit: any) => void} open */
export async function showInfluence(host, judgementId, open) {
  fill(host, h("p", { class: "note", text: "Working it out …" }));
  try {
    await settled();
    const influence = await api.influence(...where(), judgementId, { strategy: strategy() });
    // A score may change without a place changing; places are what is seen.
    const raised = influence.raised.filter((move) => move.rank < move.rank_without);
    const lowered = influence.lowered.filter((move) => move.rank > move.rank_without);
    fill(
      host,
      strip("Moved up", raised, open),
      strip("Moved down", lowered, open),
      raised.length + lowered.length
        ? null
        : h("p", { class: "note", text: "This mark moved nothing by itself." }),
    );
  } catch (error) {
    fill(host, h("p", { class: "note", text: `${error.message} ${error.hint ?? ""}` }));
  }
}

function strip(title, moved, open) {
  if (!moved.length) return null;
  return h(
    "div",
    {},
    h("p", { class: "note", text: title }),
    h(
      "ul",
      { class: "strip" },
      ...moved.map((move) => {
        const places = `${move.rank_without} → ${move.rank}`;
        return h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              title: `${fileName(move.path)}: from place ${places}`,
              "aria-label": `${fileName(move.path)}, from place ${move.rank_without} to ${move.rank}`,
              on: { click: () => open(move) },
            },
            h("img", {
              src: api.thumbnail(state.library.library_id, { image_id: move.image_id }, 80),
              alt: "",
              loading: "lazy",
            }),
            h("span", { text: places }),
          ),
        );
      }),
    ),
  );
}

/**
 * Draws where in a picture the search fits: what fits is lit.
 * @param {HTMLElement} host exactly as large as the picture @param {number} imageId
 */
export async function showHeat(host, imageId) {
  await settled();
  const map = await api.heatmap(state.library.library_id, imageId, { session: state.session.session_id });
  const canvas = h("canvas", { class: "heat", role: "img", "aria-label": heatInWords(map.cells) });
  paint(canvas, map);
  hideHeat(host);
  host.append(canvas);
}

/** @param {HTMLElement} host */
export const hideHeat = (host) => host.querySelectorAll(".heat").forEach((heat) => heat.remove());

function paint(canvas, { cells, min, max }) {
  const rows = cells.length;
  const columns = cells[0]?.length ?? 0;
  const small = h("canvas", { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  const span = max - min || 1;
  cells.flat().forEach((value, at) => {
    const heat = (value - min) / span;
    image.data.set([8, 8, 12, 205 * (1 - heat) ** 1.25], at * 4); // what fits is lit, the rest lies in the dark
  });
  small.getContext("2d").putImageData(image, 0, 0);
  canvas.width = 480;
  canvas.height = Math.max(1, Math.round((480 * rows) / (columns || 1)));
  const brush = canvas.getContext("2d");
  brush.imageSmoothingEnabled = true;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** @param {number[][]} cells */
function heatInWords(cells) {
  const flat = cells.flat();
  const at = flat.indexOf(Math.max(...flat));
  const part = (value, n, names) => names[Math.min(2, Math.floor((value / n) * 3))];
  const row = part(Math.floor(at / cells[0].length), cells.length, ["top", "middle", "bottom"]);
  const column = part(at % cells[0].length, cells[0].length, ["left", "middle", "right"]);
  return `Heat map: fits best in the ${row} ${column}`;
}

/** Heat map button with its state. @param {() => HTMLElement} host @param {() => number} imageId */
export function heatButton(host, imageId) {
  const made = button(
    "Heat map",
    async () => {
      const on = made.getAttribute("aria-pressed") !== "true";
      made.setAttribute("aria-pressed", String(on));
      if (!on) return hideHeat(host());
      try {
        await busy(showHeat(host(), imageId()));
      } catch (error) {
        made.setAttribute("aria-pressed", "false");
        complain(error);
      }
    },
    "quiet small-button",
    "heat",
  );
  made.setAttribute("aria-pressed", "false");
  made.title = "Where in the picture the search fits (t)";
  return made;
}
