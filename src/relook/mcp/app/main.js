/** The window of a session in an agent's program: the page with its marks; the person looks again. */

import { button, byId, fill, h, plural } from "../../server/static/js/dom.js";
import { Grid } from "../../server/static/js/grid.js";
import * as marks from "../../server/static/js/marks.js";
import { pageName } from "../../server/static/js/moves.js";
import { announce, busy, complain } from "../../server/static/js/notices.js";
import { on, remember, set, state } from "../../server/static/js/state.js";
import * as api from "./api.js";
import { closeDetail, openDetail, setUpDetail } from "./detail.js";
import * as host from "./host.js";
import { setUpMarks } from "./marklist.js";
import { decisionsInWords, outline, propose, whenDecided } from "./proposals.js";
import { setUpKeys } from "./windowkeys.js";

/** Of the call that opened the window. @type {Record<string, any>} */
let given = {};
/** The page in words, as the agent reads it. */
let text = "";
/** What of the search begins a session with the same. */
const OF_SEARCH = ["words", "image_ids", "images", "without", "where", "path", "limit", "min_fit", "library_id"];
let looking = false;

const grid = new Grid(byId("results"), {
  open: (at) => openAt(at),
  why: (at) => openAt(at, true),
  like: () => undefined,
  ask: () => undefined,
  play: (at) => openAt(at),
  copies: (at) => openAt(at),
  star: () => undefined,
  more: async () => false,
  again: () => lookAgain(),
});

function openAt(at, why = false) {
  set({ cursor: at }, "cursor");
  const hit = state.hits[at];
  openDetail(document.querySelector(`.grid .tile[data-id="${hit.image_id}"]`), hit, { why, done: () => grid.focus() });
}

/** Makes a result of a tool what the window shows. @param {any} result @param {number|null} [parent] the round before */
function adopt(result, parent = null) {
  const page = result.structuredContent;
  text = result.content?.[0]?.text ?? "";
  const round = page.round ?? 0;
  if (page.session_id !== state.session?.session_id) set({ pages: new Map(), pictures: new Map() });
  const known = { ...page, exhausted: true };
  state.pages.set(round, known);
  remember(page.hits);
  const session = page.session_id ? { session_id: page.session_id, query: page.query } : null;
  document.body.classList.toggle("no-session", !session);
  const library = { library_id: page.library_id, limit: Math.max(page.hits.length, 1) };
  const rounds = [{ number: round, parent }];
  const judgements = (page.judgements ?? []).map((judgement) => marks.known(judgement));
  const fresh = { hits: page.hits, judgements, drafts: [], selected: null, cursor: 0 };
  set(/** @type {any} */ ({ session, library, rounds, round, ...fresh }), "session", "hits", "marks", "selection", "view", "cursor");
  propose(page.proposals ?? []);
  byId("keys").hidden = !page.hits.length;
}

function renderBar() {
  const n = state.judgements.length;
  fill(
    byId("bar"),
    h("h1", { text: title() }),
    state.session
      ? h("button", { type: "button", class: "primary look-again", on: { click: () => lookAgain() } }, h("span", { text: "Look again" }))
      : state.hits.length && button("Mark pictures", beginSession, "button"),
    h("p", { class: "note", text: state.session ? (n ? `The next page follows ${plural(n, "mark")}.` : "Click what fits, Shift-click what does not, drag over a part.") : "" }),
  );
}

/** @returns {string} */
function title() {
  const parts = state.session?.query?.parts ?? state.pages.get(0)?.query?.parts ?? [];
  const words = parts.map((part) => `${(part.weight ?? 1) < 0 ? "− " : ""}${part.text ?? "a picture"}`).join(" + ");
  const where = state.session ? `, ${pageName(state.round)}` : "";
  return `${plural(state.hits.length, "picture")} for “${words}”${where}`;
}

/** The next page, by the person's click. */
async function lookAgain() {
  if (!state.session || looking) return;
  looking = true;
  const before = state.round;
  try {
    marks.flush();
    const where = { session_id: state.session.session_id, library_id: state.library.library_id };
    const result = await busy(marks.settled().then(() => api.call("look_again", where)));
    const decisions = decisionsInWords();
    adopt(result, before);
    announce(`${plural(state.hits.length, "picture")} on ${pageName(state.round)}.`);
    scrollTo({ top: 0 });
    tellAgent(`The person looked again. ${decisions}\nThe page is now:\n${text}`);
  } catch (error) {
    complain(error);
  } finally {
    looking = false;
  }
}

/** Makes a search a session: the same pictures, and marks count. */
async function beginSession() {
  const same = Object.fromEntries(OF_SEARCH.filter((name) => name in given).map((name) => [name, given[name]]));
  try {
    adopt(await busy(api.call("begin_session", same)));
    tellAgent(`The person began a session of your search:\n${text}`);
  } catch (error) {
    complain(error);
  }
}

/** What the agent gets to know with the next message; a host without that loses nothing here. */
function tellAgent(words) {
  host.request("ui/update-model-context", { content: [{ type: "text", text: words }] }).catch(() => undefined);
}

/** Shows what the tool that opened the window answered. */
async function opened(result) {
  if (result.isError || !result.structuredContent?.hits) return problem(result.content?.[0]?.text || "There is no page to show.");
  adopt(result);
  if (!state.session) return;
  // A conversation that is opened again shows old answers; marks may have been made or taken back since.
  const now = await api.session(state.library.library_id, state.session.session_id).catch(() => null);
  if (now && now.round === state.round) {
    set({ judgements: now.judgements.map((judgement) => marks.known(judgement)) }, "marks");
    propose(result.structuredContent.proposals ?? []);
  } else if (now) goOn(now);
}

/** The session has another page by now. */
function goOn(now) {
  const show = () => adopt({ structuredContent: now });
  byId("bar").append(
    h("p", { class: "window-later", role: "status" }, `This session has gone on: ${pageName(now.round)} is the current one. `, button("Show it", show, "button small-button")),
  );
}

function problem(words) {
  fill(byId("bar"), h("h1", { text: "No pictures" }), h("p", { class: "note", text: words }));
}

/** Light or dark, and the fonts, as the host has them. */
function dress({ theme, styles }) {
  if (theme) document.documentElement.dataset.theme = theme;
  const font = styles?.variables?.["--font-sans"];
  if (font) document.documentElement.style.setProperty("--font", font);
}

/** Messages appear where the person is: the window may be taller than what is seen of it. */
function keepMessagesNear() {
  const follow = (y) => byId("toasts").style.setProperty("top", `${Math.round(y)}px`);
  addEventListener("pointerdown", (event) => follow(event.pageY + 24));
  addEventListener("focusin", (event) => follow(/** @type {Element} */ (event.target).getBoundingClientRect().bottom + scrollY + 8));
}

async function start() {
  fill(byId("bar"), h("p", { class: "note", text: "Waiting for the pictures …" }));
  setUpMarks();
  setUpDetail();
  setUpKeys({ grid, open: openAt, again: lookAgain });
  keepMessagesNear();
  on(["session", "marks", "hits"], renderBar);
  on(["hits", "view"], outline);
  whenDecided(() => tellAgent(decisionsInWords()));
  host.hear("ui/notifications/tool-input", (params) => (given = params.arguments ?? {}));
  host.hear("ui/notifications/tool-result", opened);
  host.hear("ui/notifications/tool-cancelled", (params) => problem(`The call was stopped. ${params.reason ?? ""}`));
  host.hear("ui/notifications/host-context-changed", dress);
  host.answer("ui/resource-teardown", async () => {
    closeDetail(false);
    marks.flush();
    await marks.settled();
    return {};
  });
  dress(await host.connect());
  host.tellSize(document.body);
}

start();
