/** The library view: what is indexed, what was skipped and why, adding pictures, earlier sessions. */

import { showAlbums } from "./albums.js";
import * as api from "./api.js";
import { openBrowse } from "./browse.js";
import { showConcepts } from "./concepts.js";
import { openCopies } from "./copies.js";
import { button, byId, count, fill, h, iconButton, needs, plural } from "./dom.js";
import { bytes } from "./facts.js";
import { openFolders } from "./folderpicker.js";
import { follow, showJob } from "./jobs.js";
import { complain, toast } from "./notices.js";
import { showMe } from "./people.js";
import { showSessions } from "./sessions.js";
import { on, state } from "./state.js";
import { showUpgrade } from "./upgrade.js";

const dialog = h("dialog", { class: "sheet library", "aria-labelledby": "library-title" });
const jobHost = h("div", { "aria-live": "off" });
let hadLibrary = false;
/** @type {() => void} */
let changed = () => undefined;
/** @type {(id: string) => void} */
let choose = () => undefined;
/** @type {() => void} */
let renderJob = () => undefined;

/** @param {{changed: () => void, choose: (libraryId: string) => void}} actions */
export function setUpLibrary(actions) {
  ({ changed, choose } = actions);
  document.body.append(dialog);
  renderJob = showJob(jobHost);
  byId("open-library").addEventListener("click", openLibrary);
  on(["library", "job"], label);
  on("library", () => dialog.open && !hadLibrary && state.library && openLibrary()); // opened before it was known
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

function label() {
  const { library } = state;
  fill(
    byId("open-library"),
    h("span", { class: "name", text: library?.name ?? "Library" }),
    library ? h("span", { class: "count number", text: running(state.job) || count(library.n_images) }) : null,
  );
  byId("open-library").title = "The library: what is indexed, add pictures (Shift+L)";
}

/** Progress in the header, for when the library view is closed. */
function running(job) {
  if (!job || !["running", "paused"].includes(job.state) || job.library_id !== state.library?.library_id) return "";
  if (!job.total) return "…";
  return `${job.state === "paused" ? "paused " : ""}${Math.floor((100 * job.done) / job.total)} %`;
}

export async function openLibrary() {
  render();
  if (!dialog.open) dialog.showModal();
  await showContents();
}

export const closeLibrary = () => dialog.close();

function render() {
  const { library } = state;
  hadLibrary = library !== null;
  fill(
    dialog,
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "library-title", text: library ? library.name : "No library" }),
      picker(),
      iconButton("cross", "Close (Esc)", closeLibrary),
    ),
    h(
      "div",
      { class: "sheet-body" },
      h("div", { data: { part: "me" } }),
      h("div", { data: { part: "facts" } }),
      jobHost,
      h("section", { data: { part: "upgrade" }, "aria-label": "Upgrade" }),
      adding(library),
      h("section", { data: { part: "folders" } }),
      h("section", { data: { part: "skipped" } }),
      h("section", { data: { part: "albums" }, "aria-label": "Albums" }),
      h("section", { data: { part: "concepts" } }),
      h("section", { data: { part: "sessions" } }),
    ),
  );
  renderJob();
}

/** What the library holds now; fields and the keyboard's place stay as they are. */
async function showContents() {
  const { library } = state;
  showMe(section("me"));
  fill(section("facts"), library ? facts(library) : null);
  fill(section("folders"), ...folders(library));
  section("changes").hidden = !library?.n_images;
  await Promise.allSettled([
    showUpgrade(section("upgrade"), () => start(() => api.upgrade(libraryId()))),
    showSkipped(),
    library && showAlbums(section("albums"), openAlbum),
    library && showConcepts(section("concepts"), closeLibrary),
    library && showSessions(section("sessions"), { close: closeLibrary, choose }),
  ]);
}

/** @param {string} name */
const openAlbum = (name) => (closeLibrary(), openBrowse({ where: { album: name }, path: null }));

function picker() {
  if (state.libraries.length < 2) return null;
  const select = h(
    "select",
    { class: "field", "aria-label": "Library" },
    ...state.libraries.map((library) =>
      h("option", { value: library.library_id, text: `${library.name} (${count(library.n_images)})` }),
    ),
  );
  select.value = state.library?.library_id;
  select.addEventListener("change", () => (closeLibrary(), choose(select.value)));
  return select;
}

function facts(library) {
  const fact = (name, value, kind = "", title = "") =>
    h("div", { class: "fact", title: title || null }, h("dt", { text: name }), h("dd", { class: kind, text: value }));
  return h(
    "div",
    {},
    list(fact, library),
    library.n_away
      ? h(
          "p",
          { class: "note", data: { part: "away" } },
          `${count(library.n_away)} of the pictures ${library.n_away === 1 ? "is" : "are"} away: `,
          library.away.map((away) => `${away.place} ${away.reason}`).join("; "),
          ". They keep their marks and captions, and come back when their files do.",
        )
      : null,
    library.n_unencoded
      ? h("p", {
          class: "note",
          text: `${count(library.n_unencoded)} pictures could not be read at the last upgrade, and are not found. “Read the folders again” tries once more.`,
        })
      : null,
    unread(library),
    library.n_images
      ? h(
          "p",
          { class: "view-row" },
          button("Review copies", () => (closeLibrary(), openCopies()), "button small-button", "copies"),
          library.n_text_read < library.n_images
            ? needs("index", button("Read words in pictures", () => start(() => api.index(libraryId(), { text: true })), "button small-button"))
            : null,
        )
      : null,
  );
}

/** What is not read though a person may miss it, by suffix, with what to do. */
function unread(library) {
  const missed = library.others.filter((files) => files.what);
  if (!missed.length) return null;
  return h(
    "p",
    { class: "note", data: { part: "unread" } },
    "Not read: ",
    missed.map((files) => `${count(files.n)} ${files.suffix} (${files.what}; ${files.advice})`).join("; "),
    ".",
  );
}

function list(fact, library) {
  return h(
    "dl",
    { class: "facts" },
    fact("Pictures", count(library.n_images)),
    library.n_away ? fact("Away", count(library.n_away)) : null,
    fact("Parts searched", count(library.n_tiles), "", "Each picture is looked at as a whole and in parts, so that small things are found."),
    fact("Skipped files", count(library.n_skipped)),
    library.n_text_read
      ? fact("With words in them", count(library.n_text_found), "", `${count(library.n_text_read)} were looked through for words.`)
      : null,
    fact("On disk", bytes(library.n_bytes)),
    fact("Model that looks", modelOf(library), "text"),
  );
}

/** @param {any} library */
const modelOf = ({ encoder, encoder_revision: revision }) =>
  /^builtin\b/.test(encoder ?? "") ? `Relook’s own${revision ? `, revision ${revision}` : ""}` : (encoder ?? "none");

function adding(library) {
  const path = h("input", {
    class: "field",
    name: "path",
    placeholder: "/home/me/Pictures",
    "aria-label": "Folder of pictures",
    autocomplete: "off",
    spellcheck: "false",
  });
  const add = (event) => {
    event.preventDefault();
    if (path.value.trim()) start(() => api.index(libraryId(), { paths: [path.value.trim()] }));
    else path.focus();
  };
  const take = (chosen) => {
    path.value = chosen;
    path.form.requestSubmit();
  };
  const files = h("input", {
    type: "file",
    multiple: true,
    accept: "image/*",
    class: "visually-hidden",
    tabindex: "-1",
    "aria-label": "Picture files to add",
  });
  files.addEventListener("change", () => send([...files.files]));
  const zone = h(
    "div",
    { class: "dropzone" },
    h("span", { text: "Drop pictures or folders here: they are copied into the library." }),
    files,
    button("Choose files", () => files.click()),
  );
  zone.addEventListener("dragover", (event) => (event.preventDefault(), zone.classList.add("over")));
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    dropped(event.dataTransfer).then(send, complain);
  });
  return h(
    "section",
    { "aria-label": "Add pictures", data: { needs: "index" } },
    h("h3", { text: "Add pictures" }),
    h(
      "form",
      { class: "add", on: { submit: add } },
      path,
      button("Choose …", () => openFolders(section("picker"), libraryId(), take), "button", "folder"),
      h("button", { class: "primary", text: "Add folder" }),
      h(
        "span",
        { data: { part: "changes" } },
        button("Read the folders again", () => start(() => api.index(libraryId(), {})), "button", "again"),
      ),
    ),
    h("div", { data: { part: "picker" } }),
    h("p", {
      class: "note",
      text: `A folder on the machine where relook serve runs${within(library)}; “Choose …” lists what may be added. Files are only read, never changed.`,
    }),
    zone,
  );
}

/** Where folders may be, when the server says so. */
function within(library) {
  const folders = library?.folders ?? [];
  return folders.length ? `, in ${folders.join(" or ")}` : "";
}

/** Files that were dropped, those in folders, too. @param {DataTransfer} data @returns {Promise<File[]>} */
async function dropped(data) {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return [...data.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}

/** @param {any} entry of a drop @returns {Promise<File[]>} */
async function filesOf(entry) {
  if (!entry) return [];
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // a hundred at a time
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(filesOf))).flat();
}

const libraryId = () => state.library?.library_id ?? "default";

function send(files) {
  const pictures = files.filter((file) => file.type.startsWith("image/"));
  if (!pictures.length)
    return toast("There is no picture among these files.", {
      hint: "Drop JPEG, PNG, WebP, GIF, TIFF or BMP files.",
    });
  start(() => api.upload(libraryId(), pictures));
}

/** Shows a job's progress, and the library anew when it is over. @param {any} job */
export function followJob(job) {
  for (const refused of job.refused ?? [])
    toast(`${refused.path ?? refused.name ?? "A file"} was refused.`, { hint: refused.message ?? "", bad: true });
  follow(job, async () => {
    await changed();
    if (dialog.open) showContents();
  });
}

async function start(begin) {
  try {
    followJob(await begin());
  } catch (error) {
    if (!dialog.open) complain(error);
    else fill(jobHost, h("p", { class: "job", role: "alert", text: `${error.message} ${error.hint}` }));
  }
}

function folders(library) {
  const roots = library?.roots ?? [];
  if (!roots.length) return [];
  return [
    h("h3", { text: "Indexed folders" }),
    h("ul", { class: "folder-list" }, ...roots.map((root) => h("li", {}, h("code", { text: root })))),
  ];
}

const section = (name) => dialog.querySelector(`[data-part="${name}"]`);

async function showSkipped() {
  if (!state.library) return;
  try {
    const { skipped } = await api.skipped(libraryId());
    fill(
      section("skipped"),
      h("h3", { text: skipped.length ? `Skipped: ${plural(skipped.length, "file")}` : "No file was skipped" }),
      skipped.length
        ? h(
            "ul",
            { class: "skipped-list small", tabindex: "0", "aria-label": "Skipped files" },
            ...skipped
              .slice(0, 500)
              .map((file) => h("li", {}, h("code", { text: file.path }), h("span", { text: file.message }))),
          )
        : null,
      skipped.length > 500
        ? h("p", {
            class: "note",
            text: `And ${count(skipped.length - 500)} more: relook info --skipped lists them all.`,
          })
        : null,
    );
  } catch (error) {
    fill(section("skipped"), h("p", { class: "note", text: error.message }));
  }
}
