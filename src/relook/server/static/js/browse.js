/** Browsing without words: a timeline, a map, counts that narrow each other, and the pictures by time. */

import { showTools } from "./albums.js";
import * as api from "./api.js";
import { button, count, fill, h, iconButton, plural, svg } from "./dom.js";
import { filterChips } from "./filters.js";
import { complain } from "./notices.js";
import { Pick } from "./pick.js";
import { set, state } from "./state.js";

/** @typedef {import("./state.js").Only} Only */

const PART = 200; // pictures that are shown at a time
const FIRST = 8; // choices of a kind that are shown at first
const dialog = h("dialog", { class: "sheet browse", "aria-labelledby": "browse-title" });
const host = (name) => h("div", { data: { part: name } });
const [chips, tools, timeline, facets, more] = ["chips", "tools", "timeline", "facets", "more"].map(host);
const title = h("h2", { id: "browse-title", text: "Browse" });
/** @type {Pick} */
let pick;
/** @type {Only} */
let only = { where: {}, path: null };
let turn = 0;
let n_shown = 0;

export function setUpBrowse() {
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation());
}

/** @param {Only} [filter] to begin with */
export function openBrowse(filter = state.only) {
  only = { where: { ...filter.where }, path: filter.path };
  pick = new Pick();
  fill(
    dialog,
    h(
      "div",
      { class: "sheet-head" },
      title,
      button("Search within these", searchWithin, "button small-button", "search"),
      iconButton("cross", "Close (Esc)", () => dialog.close()),
    ),
    h(
      "div",
      { class: "sheet-body browse-body" },
      chips,
      tools,
      timeline,
      h("div", { class: "browse-main" }, facets, h("div", { class: "browse-pictures" }, pick.element, more)),
    ),
    pick.foot,
  );
  if (!dialog.open) dialog.showModal();
  refresh();
}

function searchWithin() {
  dialog.close();
  set({ only }, "only");
  /** @type {HTMLElement|null} */ (document.querySelector("#search input[name=q]"))?.focus();
}

/** @param {Record<string, string|null>} change keys of the filter; null takes one away */
function narrow(change) {
  const where = { ...only.where };
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete where[key];
    else where[key] = value;
  }
  only = { ...only, where };
  refresh();
}

async function refresh() {
  const mine = (turn += 1);
  const L = state.library.library_id;
  try {
    const [counts, page] = await Promise.all([api.facets(L, only), api.browse(L, { ...only, limit: PART })]);
    if (mine !== turn) return;
    title.textContent = `Browse: ${plural(page.n_images, "picture")}`;
    fill(chips, ...filterChips(only).map(chip));
    showTimeline(counts.months, counts.n_no_time);
    showFacets(counts);
    pick.show(page.images);
    n_shown = page.images.length;
    showMore(page.n_images);
    const renamed = (name) => narrow({ album: name });
    const album = await showTools(tools, only.where.album, { renamed, deleted: () => dialog.close() });
    if (mine !== turn) return;
    pick.ofAlbum(album, refresh);
    if (album) title.textContent = `${album.name}: ${plural(page.n_images, "picture")}`;
  } catch (error) {
    complain(error);
  }
}

function chip({ label, rest }) {
  const drop = () => {
    only = rest;
    refresh();
  };
  return h("span", { class: "part only" }, h("span", { text: label, title: label }), iconButton("cross", `Without “${label}”`, drop));
}

function showMore(n) {
  if (n_shown >= n) return fill(more, n ? null : h("p", { class: "note", text: "No picture fits all of these together." }));
  const next = async () => {
    try {
      const page = await api.browse(state.library.library_id, { ...only, limit: PART, skip: n_shown });
      pick.show(page.images, true);
      n_shown += page.images.length;
      showMore(page.images.length ? page.n_images : 0);
    } catch (error) {
      complain(error);
    }
  };
  fill(more, button(`Show more of ${count(n)}`, next, "button"));
}

/** Bars by month, or by year where there are many; a click narrows. */
function showTimeline(months, n_no_time) {
  if (!months.length) return fill(timeline);
  const chosen = only.where["taken_at>="];
  const years = new Map();
  for (const { value, n } of months) years.set(value.slice(0, -3), (years.get(value.slice(0, -3)) ?? 0) + n);
  const inYear = chosen && /^-?\d{4,}/.exec(chosen)?.[0];
  fill(
    timeline,
    bars([...years].map(([value, n]) => ({ value, n })), inYear, (year) => period(year, String(Number(year) + 1))),
    inYear &&
      bars(
        months.filter(({ value }) => value.startsWith(`${inYear}-`)),
        chosen.length > 4 ? chosen.slice(0, 7) : null,
        (month) => period(month, after(month)),
      ),
    n_no_time > 0 && h("p", { class: "small muted", text: `${plural(n_no_time, "picture")} without any time.` }),
  );
}

/** @param {string} from @param {string} to */
function period(from, to) {
  const on = only.where["taken_at>="] === from && only.where["taken_at<"] === to;
  narrow({ "taken_at>=": on ? null : from, "taken_at<": on ? null : to });
}

/** @param {string} month */
function after(month) {
  const [year, number] = month.split("-").map(Number);
  return number === 12 ? `${year + 1}-01` : `${year}-${String(number + 1).padStart(2, "0")}`;
}

function bars(counts, chosen, run) {
  const most = Math.max(...counts.map(({ n }) => n));
  return h(
    "ul",
    { class: "bars" },
    ...counts.map(({ value, n }) => {
      const bar = h("span", { class: "bar-fill" });
      bar.style.height = `${Math.max(4, (56 * n) / most)}px`;
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            title: `${value}: ${plural(n, "picture")}`,
            "aria-label": `${value}: ${plural(n, "picture")}`,
            "aria-pressed": String(value === chosen),
            on: { click: () => run(value) },
          },
          bar,
          h("span", { class: "bar-name", text: value }),
        ),
      );
    }),
  );
}

function showFacets(counts) {
  fill(
    facets,
    counts.places.length > 0 && h("section", {}, h("h3", { text: "Places" }), map(counts.places)),
    choices("Cameras", "camera", counts.cameras),
    choices("Folders", "folder", counts.folders, shortFolder),
    choices("Albums", "album", counts.albums ?? []),
    choices("Keywords", "keywords", counts.keywords),
    choices("Rating", "rating", counts.ratings, (value) => (Number(value) > 0 ? "★".repeat(Number(value)) || value : value)),
    choices("Orientation", "orientation", counts.orientations.filter(({ n }) => n)),
    choices("Lenses", "lens", counts.lenses),
  );
}

/** The last two names of a folder. @param {string} path */
const shortFolder = (path) => path.split(/[\\/]/).slice(-2).join("/") || path;

function choices(name, key, counts, shown = (value) => value) {
  if (!counts.length) return null;
  const list = h("ul", { class: "facet" });
  const item = ({ value, n }) => {
    const on = only.where[key] === value;
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          title: value,
          "aria-pressed": String(on),
          on: { click: () => narrow({ [key]: on ? null : value }) },
        },
        h("span", { class: "name", text: shown(value) }),
        h("span", { class: "small muted number", text: count(n) }),
      ),
    );
  };
  list.append(...counts.slice(0, FIRST).map(item));
  if (counts.length > FIRST) {
    const rest = () => fill(list, ...counts.map(item));
    list.append(h("li", {}, button(`${count(counts.length - FIRST)} more`, rest, "quiet small-button")));
  }
  return h("section", { "aria-label": name }, h("h3", { text: name }), list);
}

/** Dots at their degrees, drawn here: no tile of any map server is asked for. */
function map(places) {
  const wide = 280;
  const tall = 180;
  const pad = 12;
  const east = places.map((cell) => cell.longitude);
  const north = places.map((cell) => cell.latitude);
  const middle = [(Math.min(...east) + Math.max(...east)) / 2, (Math.min(...north) + Math.max(...north)) / 2];
  const squeeze = Math.max(0.2, Math.cos((middle[1] * Math.PI) / 180)); // a degree of longitude is shorter up north
  const spans = [(Math.max(...east) - Math.min(...east)) * squeeze, Math.max(...north) - Math.min(...north)];
  const scale = Math.min((wide - 2 * pad) / Math.max(spans[0], 0.02), (tall - 2 * pad) / Math.max(spans[1], 0.02));
  const x = (degrees) => wide / 2 + (degrees - middle[0]) * squeeze * scale;
  const y = (degrees) => tall / 2 - (degrees - middle[1]) * scale;
  const most = Math.max(...places.map((cell) => cell.n));
  const drawn = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, class: "map", role: "group", "aria-label": "Places of the pictures" });
  drawn.append(...grid(x, y, middle, squeeze, scale, wide, tall));
  for (const cell of places) {
    const on = only.where["place~"] === cell.near;
    const label = `${plural(cell.n, "picture")} near ${cell.latitude.toFixed(2)}, ${cell.longitude.toFixed(2)}`;
    const dot = svg("circle", {
      cx: x(cell.longitude),
      cy: y(cell.latitude),
      r: 4 + 8 * Math.sqrt(cell.n / most),
      tabindex: "0",
      role: "button",
      "aria-label": label,
      "aria-pressed": String(on),
    });
    const name = svg("title", {});
    name.textContent = label;
    dot.append(name);
    const run = () => narrow({ "place~": on ? null : cell.near });
    dot.addEventListener("click", run);
    dot.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      run();
    });
    drawn.append(dot);
  }
  return drawn;
}

/** Lines of latitude and longitude, with their degrees. */
function grid(x, y, middle, squeeze, scale, wide, tall) {
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45, 90].find((degrees) => degrees * scale > 44) ?? 90;
  const lines = [];
  const label = (text, at) => {
    const made = svg("text", at);
    made.textContent = text;
    return made;
  };
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const low = [middle[0] - wide / 2 / scale / squeeze, middle[1] - tall / 2 / scale];
  for (let east = Math.ceil(low[0] / step) * step; x(east) < wide; east += step)
    lines.push(svg("path", { d: `M${x(east)} 0V${tall}` }), label(`${east.toFixed(digits)}°`, { x: x(east) + 2, y: tall - 3 }));
  for (let north = Math.ceil(low[1] / step) * step; y(north) > 0; north += step)
    lines.push(svg("path", { d: `M0 ${y(north)}H${wide}` }), label(`${north.toFixed(digits)}°`, { x: 2, y: y(north) - 2 }));
  return lines;
}
