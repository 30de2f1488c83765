/** Concepts: save what a search learnt, look at what it rests on, its album, merge, share. */

import * as api from "./api.js";
import { button, count, fileName, fill, h, iconButton, needs, plural } from "./dom.js";
import { settled } from "./marks.js";
import { complain, toast } from "./notices.js";
import { search } from "./rounds.js";
import { may, state } from "./state.js";

/** @typedef {Api.ConceptLine} Line */

const dialog = h("dialog", { class: "sheet concept", "aria-labelledby": "concept-title" });
document.body.append(dialog);
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

const L = () => state.library.library_id;

/** The concepts of the library. @returns {Promise<Line[]>} */
export const concepts = async () => (await api.concepts(L())).concepts;

/** How much a concept holds. @param {Line} line */
export const holds = (line) =>
  line.problem || `${plural(line.n_pictures ?? 0, "picture")}${line.n_new ? `, ${count(line.n_new)} new` : ""}`;

/** Searches with a concept. @param {string} name */
export function searchWith(name) {
  dialog.close();
  return search([{ concept: name, weight: 1 }]);
}

/** Asks for a name, and keeps what this session has learnt. */
export function openSave() {
  const name = h("input", {
    class: "field",
    name: "concept",
    "aria-label": "Name of the concept",
    placeholder: "our old van",
    maxlength: "200",
    autocomplete: "off",
  });
  const note = h("p", { class: "note", role: "status" });
  const replace = button("Replace it", () => keep(true), "button");
  replace.hidden = true;
  const keep = async (replacing) => {
    try {
      await settled(); // a mark that is on its way counts
      const made = await api.saveConcept(L(), {
        session_id: state.session.session_id,
        name: name.value,
        replace: replacing,
      });
      dialog.close();
      toast(`Kept as @${made.name}.`, {
        hint: `Type @${made.name} + snow to search with it.`,
        action: { label: "Show it", run: () => openConcept(made.concept_id) },
      });
    } catch (error) {
      replace.hidden = error.code !== "name_taken";
      note.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}. ${error.code === "name_taken" ? "" : (error.hint ?? "")}`;
      name.focus();
    }
  };
  const submit = (event) => (event.preventDefault(), keep(false));
  show(
    "Keep what this search learnt",
    h("p", {
      class: "note",
      text: "Under a name it can be used in any search, and its album fills itself as pictures come in.",
    }),
    h("form", { class: "add", on: { submit } }, name, h("button", { class: "primary", text: "Keep" }), replace),
    note,
  );
  name.focus();
}

/** What a concept rests on, and what it holds. @param {number} id */
export async function openConcept(id) {
  try {
    const [concept, album] = await Promise.all([
      api.concept(L(), id),
      api.conceptAlbum(L(), id).catch((error) => ({ failure: error })),
    ]);
    render(concept, album);
  } catch (error) {
    complain(error);
  }
}

/** @param {Api.Concept} concept @param {any} album */
function render(concept, album) {
  const words = concept.query?.parts.map((part) => ("text" in part ? part.text : "")).join(", ");
  show(
    `@${concept.name}`,
    h(
      "div",
      { class: "job-row" },
      button("Search with it", () => searchWith(concept.name), "primary", "search"),
      needs("mark", button("Rename", () => renameField(concept), "button", "pencil")),
      h("a", { class: "button", href: api.conceptExportUrl(L(), concept.concept_id), download: "", text: "Export" }),
      needs("mark", button("Merge with …", () => mergeField(concept))),
      needs("index", button("Delete", () => remove(concept), "button", "bin")),
    ),
    h("div", { data: { part: "form" } }),
    words ? h("p", {}, h("span", { class: "muted", text: "Began from " }), `“${words}”`) : null,
    concept.relevant_words ? h("p", { text: `Fits, in words: ${concept.relevant_words}` }) : null,
    concept.irrelevant_words ? h("p", { text: `Does not, in words: ${concept.irrelevant_words}` }) : null,
    h("h3", { text: `Rests on ${plural(concept.examples.length, "example")}` }),
    h("ul", { class: "examples" }, ...concept.examples.map((example) => exampleOf(concept, example))),
    ...(album.failure
      ? [h("p", { class: "note", text: `${album.failure.message} ${album.failure.hint ?? ""}` })]
      : albumOf(album)),
  );
}

/** @param {Api.Concept} concept @param {Api.ConceptExample} example */
function exampleOf(concept, example) {
  const name = example.caption || fileName(example.path);
  const sign = example.relevant ? "relevant" : "irrelevant";
  const src = example.thumbnail && api.thumbnail(L(), /** @type {any} */ (example), 160);
  const change = (values) => edit(concept, { examples: [{ example_id: example.example_id, ...values }] });
  return h(
    "li",
    { class: sign },
    src ? h("img", { src, alt: name }) : h("span", { class: "note", text: `${name} is not here` }),
    h(
      "div",
      { class: "mark-tools", data: { needs: "mark" } },
      iconButton(
        example.relevant ? "cross" : "tick",
        example.relevant ? `“${name}” does not show it` : `“${name}” shows it`,
        () => change({ relevant: !example.relevant }),
      ),
      iconButton("bin", `Take “${name}” out`, () => edit(concept, { without: [example.example_id] })),
    ),
  );
}

/** @param {Api.ConceptAlbum} album */
function albumOf({ page, n_pictures, is_cut, n_new }) {
  const more = is_cut ? "the first " : "";
  const fresh = n_new ? `, ${count(n_new)} new` : "";
  return [
    h("h3", { text: `Holds ${more}${plural(n_pictures, "picture")}${fresh}` }),
    h(
      "ul",
      { class: "examples" },
      ...page.hits.slice(0, 60).map((hit) =>
        h("li", {}, h("img", { src: api.thumbnail(L(), hit, 160), alt: hit.title || fileName(hit.path), loading: "lazy" })),
      ),
    ),
    ...page.notes.map((note) => h("p", { class: "note", text: note })),
  ];
}

/** @param {Api.Concept} concept @param {Api.ConceptChange} body */
async function edit(concept, body) {
  try {
    await api.changeConcept(L(), concept.concept_id, body);
    await openConcept(concept.concept_id);
  } catch (error) {
    complain(error);
  }
}

const place = () => /** @type {HTMLElement} */ (dialog.querySelector("[data-part=form]"));

/** @param {Api.Concept} concept */
function renameField(concept) {
  const field = h("input", { class: "field", value: concept.name, "aria-label": "New name", maxlength: "200" });
  const submit = (event) => (event.preventDefault(), edit(concept, { name: field.value }));
  fill(place(), h("form", { class: "add", on: { submit } }, field, h("button", { class: "primary", text: "Rename" })));
  field.select();
}

/** @param {Api.Concept} concept */
async function mergeField(concept) {
  const others = (await concepts()).filter((other) => other.concept_id !== concept.concept_id);
  if (!others.length) return fill(place(), h("p", { class: "note", text: "There is no other concept yet." }));
  const choice = h(
    "select",
    { class: "field", "aria-label": "The other concept" },
    ...others.map((other) => h("option", { value: other.concept_id, text: `@${other.name}` })),
  );
  const name = h("input", {
    class: "field",
    "aria-label": "Name of both together",
    placeholder: "name of both together",
    maxlength: "200",
  });
  const submit = async (event) => {
    event.preventDefault();
    try {
      const body = { first: concept.concept_id, second: Number(choice.value), name: name.value };
      const { concept: merged, notes } = await api.mergeConcepts(L(), body);
      for (const note of notes) toast(note);
      await openConcept(merged.concept_id);
    } catch (error) {
      complain(error);
    }
  };
  const merge = h("button", { class: "primary", text: "Merge" });
  fill(place(), h("form", { class: "add", on: { submit } }, choice, name, merge));
  choice.focus();
}

/** @param {Api.Concept} concept */
async function remove(concept) {
  try {
    await api.deleteConcept(L(), concept.concept_id);
    dialog.close();
    toast(`@${concept.name} is deleted. Its pictures stay.`);
  } catch (error) {
    complain(error);
  }
}

function show(title, ...children) {
  fill(
    dialog,
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "concept-title", text: title }),
      iconButton("cross", "Close (Esc)", () => dialog.close()),
    ),
    h("div", { class: "sheet-body" }, ...children),
  );
  if (!dialog.open) dialog.showModal();
}

/**
 * Lists the concepts of the library, in the library view.
 * @param {HTMLElement} host @param {() => void} close closes that view
 */
export async function showConcepts(host, close) {
  const file = h("input", {
    type: "file",
    accept: ".json,application/json",
    class: "visually-hidden",
    tabindex: "-1",
    "aria-label": "Exported concept",
  });
  file.addEventListener("change", async () => {
    if (!file.files[0]) return;
    try {
      const { concept, notes } = await api.importConcept(L(), file.files[0]);
      for (const note of notes) toast(note);
      close();
      await openConcept(concept.concept_id);
    } catch (error) {
      complain(error);
    }
  });
  const lines = await concepts();
  fill(
    host,
    h(
      "div",
      { class: "job-row" },
      h("h3", { text: "Concepts" }),
      file,
      needs("mark", button("Import a concept", () => file.click(), "button small-button")),
    ),
    lines.length
      ? null
      : h("p", { class: "note", text: may("mark") ? "None yet. Mark pictures in a search, then keep what it learnt under a name." : "None yet." }),
    h(
      "ul",
      { class: "concept-list" },
      ...lines.map((line) =>
        h(
          "li",
          {},
          h("button", {
            type: "button",
            class: "quiet name",
            text: `@${line.name}`,
            on: { click: () => (close(), openConcept(line.concept_id)) },
          }),
          h("span", { class: "small muted number", text: holds(line) }),
        ),
      ),
    ),
  );
}
