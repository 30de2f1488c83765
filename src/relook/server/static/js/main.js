/** The page: puts the modules together, and follows the address. */

import * as api from "./api.js";
import { setUpAlbums, toggleFavourite } from "./albums.js";
import { askAbout, setUpAsk } from "./ask.js";
import { setUpBar } from "./bar.js";
import { openBrowse, setUpBrowse } from "./browse.js";
import { watchConnection, whenBack } from "./connection.js";
import { openCopiesOf, setUpCopies } from "./copies.js";
import { byId, fill, h, icon } from "./dom.js";
import { setUpFound } from "./found.js";
import { Grid } from "./grid.js";
import { setUpInstead } from "./instead.js";
import { setUpKeys } from "./keys.js";
import { followJob, openLibrary, setUpLibrary } from "./library.js";
import { complain, toast } from "./notices.js";
import { learnMe, openCarried, setUpPeople } from "./people.js";
import { print } from "./query.js";
import { lookAgain, more, openSession, search } from "./rounds.js";
import { addPicture, clearPictures, readyToType, setUpSearch, showWords } from "./search.js";
import { showFailure, showSkeleton, showStart } from "./start.js";
import { recall, set, state } from "./state.js";
import { setUpTray } from "./tray.js";
import { closeViewer, openAt, playShown, setUpViewer, viewerOpen } from "./viewer.js";

const grid = new Grid(byId("results"), {
  open: openAt,
  why: (at) => openAt(at, true),
  play: (at) => {
    openAt(at, false);
    playShown();
  },
  like: moreLike,
  ask: (at) => askAbout(state.hits[at]),
  copies: (at) => openCopiesOf(state.hits[at]),
  star: (at) => toggleFavourite(state.hits[at]),
  more,
  again: () => lookAgain().then(() => grid.focus()),
});

/** Searches with a picture of the library. @param {number} at */
function moreLike(at) {
  searchParts([{ image_id: state.hits[at].image_id, weight: 1 }]);
}

async function searchParts(parts) {
  clearPictures();
  showWords(print(parts));
  if (await search(parts)) grid.focus();
}

/** @param {Promise<any>} [asked] the answer, where it is on its way already */
async function readLibraries(asked = api.libraries()) {
  const { libraries } = await asked;
  const wanted =
    state.library?.library_id ?? new URLSearchParams(location.search).get("library") ?? recall("library", null);
  const library = libraries.find((candidate) => candidate.library_id === wanted) ?? libraries[0] ?? null;
  set({ libraries, library }, "library");
}

/** Shows what the address names. @param {PopStateEvent} [event] */
async function route(event) {
  const query = new URLSearchParams(location.search);
  try {
    const named = state.libraries.find((library) => library.library_id === query.get("library"));
    if (named) set({ library: named }, "library");
    else if (query.get("library"))
      toast(`There is no library “${query.get("library")}” on this server.`, {
        hint: "The first one is shown.",
      });
    const sessionId = query.get("session");
    if (sessionId && state.library) {
      await openSession(sessionId, false);
    } else await start({ clear: event !== undefined }); // what was typed while the page loaded stays
  } catch (error) {
    failed(error);
  }
}

/** @param {any} error */
function failed(error) {
  showFailure(error, boot);
  if (error.status === 0) whenBack("", boot);
}

async function start({ clear = true } = {}) {
  if (clear) {
    showWords("");
    clearPictures();
    set({ only: { where: {}, path: null } }, "only");
  }
  readyToType();
  await showStart(grid, openLibrary);
}

async function boot() {
  showSkeleton();
  if (openCarried()) return fill(byId("results"));
  try {
    const asked = api.libraries(); // beside the other, which a browser waits for as long
    asked.catch(() => undefined); // told below, or by the other
    await learnMe();
    await readLibraries(asked); // last: a search can begin once they are known, and `route` follows at once
  } catch (error) {
    if (error.code === "sign_in_needed") {
      window.dispatchEvent(new Event("relook:sign-in"));
      return fill(byId("results"));
    }
    failed(error);
    return;
  }
  await route();
  if (state.library?.job_id) api.job(state.library.job_id).then(followJob).catch(complain);
}

function chooseLibrary(id) {
  set({ library: state.libraries.find((library) => library.library_id === id) }, "library");
  history.pushState({}, "", `/?${new URLSearchParams({ library: id })}`);
  start().catch(complain);
}

setUpSearch(() => grid.focus());
setUpBar();
setUpTray();
setUpFound();
setUpInstead({ search: searchParts, models: openLibrary });
setUpViewer({
  closed: () => {
    const at = document.activeElement; // a command that closed the view may have put it elsewhere
    if (!at || at === document.body || at.closest(".grid")) grid.focus();
  },
  search: searchParts,
  ask: askAbout,
  copies: openCopiesOf,
});
setUpAsk({
  search: (parts) => {
    if (viewerOpen()) closeViewer();
    searchParts(parts);
  },
  searchPicture: (file) => {
    if (viewerOpen()) closeViewer();
    showWords("");
    addPicture(file);
  },
});
setUpLibrary({
  choose: chooseLibrary,
  changed: async () => {
    await readLibraries();
    if (!state.session) await start({ clear: false });
  },
});
setUpPeople(boot);
setUpAlbums();
setUpBrowse();
setUpCopies();
fill(byId("open-browse"), icon("clock"), h("span", { class: "name", text: "Browse" }));
byId("open-browse").addEventListener("click", () => state.library && openBrowse());
setUpKeys(grid, moreLike);
watchConnection();
window.addEventListener("popstate", route);
window.addEventListener("relook:like", (event) => {
  if (viewerOpen()) closeViewer();
  searchParts(/** @type {CustomEvent} */ (event).detail);
});
window.addEventListener("scroll", () => document.documentElement.classList.toggle("scrolled", scrollY > 4), {
  passive: true,
});
if (!new URLSearchParams(location.search).get("session")) readyToType();
boot();
