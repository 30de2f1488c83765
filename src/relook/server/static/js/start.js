/** What the page shows before a search: what to do, earlier work, a look into the library. */

import * as api from "./api.js";
import { concepts, holds, openConcept } from "./concepts.js";
import { button, byId, fill, h, needs, plural } from "./dom.js";
import { pageName } from "./moves.js";
import { complain } from "./notices.js";
import { again } from "./search.js";
import { recentSearches } from "./recent.js";
import { openSession } from "./rounds.js";
import { may, remember, set, state } from "./state.js";

/** A page without a session. @param {import("./grid.js").Grid} grid @param {() => void} openLibrary */
export async function showStart(grid, openLibrary) {
  set(
    {
      session: null,
      rounds: [],
      judgements: [],
      drafts: [],
      selected: null,
      hits: [],
      pages: new Map(),
      showing: "after",
    },
    "session",
    "marks",
    "view",
  );
  const host = byId("results");
  if (!state.library) return fill(host, state.me?.kind === "person" ? nothingToSee() : noLibrary(openLibrary));
  if (!state.library.n_images) return fill(host, emptyLibrary(openLibrary));
  const intro = h(
    "div",
    { class: "start" },
    h("h1", { text: "What are you looking for?" }),
    h("p", {
      class: "muted",
      text: `${plural(state.library.n_images, "picture")} in ${state.library.name}. Describe one in your own words, or paste, drop or pick a picture.${may("mark") ? " Then mark what fits and look again." : ""}`,
    }),
    recentSearches().length ? recent() : null,
  );
  fill(host, intro);
  await Promise.allSettled([earlier(intro), known(intro), wall(host, grid)]);
}

function recent() {
  const words = recentSearches();
  return h(
    "div",
    { class: "start-lists" },
    ...words.slice(0, 6).map((phrase) => button(phrase, () => again(phrase), "button", "search")),
  );
}

async function earlier(intro) {
  const { sessions } = await api.sessions(state.library.library_id);
  const worked = sessions
    .filter(
      (session, at) =>
        session.current_round > 0 &&
        sessions.findIndex((other) => other.name === session.name && other.current_round > 0) === at,
    )
    .slice(0, 4);
  if (!worked.length || state.session) return;
  intro.append(
    h("h2", { text: "Go on with" }),
    h(
      "div",
      { class: "start-lists" },
      ...worked.map((session) =>
        button(
          `${session.name} · ${pageName(session.current_round)}`,
          () => openSession(session.session_id).catch(complain),
          "button",
          "again",
        ),
      ),
    ),
  );
}

/** The concepts of the library, each with how much it holds now. */
async function known(intro) {
  const lines = await concepts();
  if (!lines.length || state.session) return;
  intro.append(
    h("h2", { text: "Concepts" }),
    h(
      "div",
      { class: "start-lists" },
      ...lines.slice(0, 8).map((line) => button(`@${line.name} · ${holds(line)}`, () => openConcept(line.concept_id), "button", "flag")),
    ),
  );
}

/** Some pictures of the library, to look at and to begin from. */
async function wall(host, grid) {
  const intro = host.firstChild;
  const { hits } = await api.search(state.library.library_id, {
    query: { parts: [{ text: "a photograph", weight: 1 }] },
    limit: 24,
  });
  if (state.session || !intro.isConnected) return;
  remember(hits);
  set({ hits: hits.map((hit) => ({ ...hit, tile: [0, 0, 1, 1] })), cursor: 0 }, "hits");
  host.prepend(intro);
  fill(grid.end);
}

function nothingToSee() {
  return h(
    "div",
    { class: "state" },
    h("h1", { text: "There is no library for you yet" }),
    h("p", { text: "Whoever runs this server can give you the right to one; then reload this page." }),
  );
}

function noLibrary(openLibrary) {
  return h(
    "div",
    { class: "state" },
    h("h1", { text: "No library yet" }),
    h("p", {
      class: "muted",
      text: "A library is the index of one collection of pictures. Add a folder, and Relook reads it; your files stay as they are.",
    }),
    h("div", { class: "actions" }, button("Add pictures", openLibrary, "primary")),
    h("p", { class: "small muted" }, "Or in a terminal: ", h("code", { text: "relook index ~/Pictures" })),
  );
}

function emptyLibrary(openLibrary) {
  const { library } = state;
  return h(
    "div",
    { class: "state" },
    h("h1", { text: `${library.name} is empty` }),
    h("p", {
      text: library.n_skipped
        ? `${plural(library.n_skipped, "file")} could not be read; the library view says why.`
        : "Add a folder of pictures, or drop some files.",
    }),
    needs("index", h("div", { class: "actions" }, button("Add pictures", openLibrary, "primary"))),
    h("p", { class: "small muted" }, "It is kept in ", h("code", { text: library.library }), "."),
    h("p", { class: "small muted", text: "If you expected pictures here, the name that the server was started with may have a typing error." }),
  );
}

/** While the first answer is on its way. */
export function showSkeleton() {
  const host = byId("results");
  const grid = h("div", { class: "grid", "aria-hidden": "true" });
  const width = host.clientWidth;
  for (let at = 0, x = 0, y = 0; at < 18; at += 1) {
    const w = [250, 180, 290, 210, 160, 300][at % 6];
    if (x + w > width) [x, y] = [0, y + 206];
    const placeholder = h("div", { class: "skeleton" });
    Object.assign(placeholder.style, {
      left: `${x}px`,
      top: `${y}px`,
      width: `${Math.min(w, width)}px`,
      height: "200px",
    });
    grid.append(placeholder);
    x += w + 6;
  }
  grid.style.height = "620px";
  fill(host, grid);
}

/** @param {any} error @param {() => void} retry */
export function showFailure(error, retry) {
  fill(
    byId("results"),
    h(
      "div",
      { class: "state" },
      h("h1", { text: "This page cannot be shown" }),
      h("p", { text: error.message }),
      h("p", { class: "muted", text: error.hint ?? "" }),
      h(
        "div",
        { class: "actions" },
        button("Try again", retry, "primary"),
        h("a", { class: "button", href: "/", text: "Start page" }),
      ),
    ),
  );
}
