/** The picture that is asked about: of the library, or picked, pasted or dropped into the panel. */

import * as api from "./api.js";
import { button, fill, h, icon } from "./dom.js";
import { state } from "./state.js";
import { nameOf } from "./tile.js";

/**
 * @typedef {{key: string, name: string, src: string, libraryId: string|null,
 *   ready: Promise<{image_id: number}|{picture: string}>}} Subject `ready` is how the API calls it
 */

const TYPES = "Use a JPEG, PNG, WebP, GIF, TIFF or BMP file.";

/** @param {import("./state.js").Hit} hit @returns {Subject} */
export function ofLibrary(hit) {
  const libraryId = state.library.library_id;
  return {
    key: `${libraryId} ${hit.image_id}`,
    name: nameOf(hit),
    src: api.thumbnail(libraryId, hit, 480),
    libraryId,
    ready: Promise.resolve({ image_id: hit.image_id }),
  };
}

/** @param {File|Blob} file @returns {Subject} */
export function ofFile(file) {
  if (!file.type.startsWith("image/"))
    throw new api.ApiError(400, { code: "no_picture", message: "That is not a picture.", hint: TYPES });
  if (!state.library)
    throw new api.ApiError(404, {
      code: "no_library",
      message: "There is no library yet.",
      hint: "Open the library view and add a folder of pictures.",
    });
  const libraryId = state.library.library_id;
  const named = file instanceof File ? file : new File([file], "pasted.png", { type: file.type });
  const ready = api.uploadPicture(libraryId, named).then((answer) => ({ picture: answer.picture_id }));
  ready.catch(() => undefined); // whoever asks with it hears of it
  return {
    key: `file ${named.name} ${named.size} ${named.lastModified}`,
    name: named.name,
    src: URL.createObjectURL(file),
    libraryId,
    ready,
  };
}

/** The place in the panel that shows the picture and takes another. @param {(file: File) => void} take */
export function well(take) {
  const picker = h("input", {
    type: "file",
    accept: "image/*",
    class: "visually-hidden",
    tabindex: "-1",
    "aria-label": "Picture to ask about",
  });
  picker.addEventListener("change", () => {
    if (picker.files.length) take(picker.files[0]);
    picker.value = "";
  });
  const shown = h("div", { class: "ask-shown" });
  const choose = button("Choose a picture", () => picker.click(), "button small-button", "picture");
  const element = h(
    "div",
    { class: "ask-well" },
    shown,
    picker,
    h("div", { class: "ask-well-row" }, choose, h("span", { class: "note", text: "or paste or drop one" })),
  );
  /** @param {Subject|null} subject */
  const show = (subject) => {
    fill(
      shown,
      subject ? photo(subject, shown) : h("p", { class: "ask-nothing" }, icon("picture"), "No picture yet"),
    );
    choose.querySelector("span").textContent = subject ? "Another picture" : "Choose a picture";
  };
  return { element, show, choose };
}

function photo(subject, host) {
  const image = h("img", { src: subject.src, alt: `Asked about: ${subject.name}` });
  image.addEventListener("error", () =>
    // TIFF and the like: the server reads what this browser cannot show
    fill(host, h("p", { class: "ask-nothing" }, icon("picture"), `${subject.name} cannot be shown here.`)),
  );
  return image;
}

/** Files dropped on or pasted into the panel. @param {HTMLDialogElement} dialog @param {(file: File) => void} take */
export function acceptFiles(dialog, take) {
  dialog.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    dialog.classList.add("over");
  });
  dialog.addEventListener("dragleave", (event) => {
    if (!dialog.contains(/** @type {Node|null} */ (event.relatedTarget))) dialog.classList.remove("over");
  });
  dialog.addEventListener("drop", (event) => {
    dialog.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((pasted) => pasted.type.startsWith("image/"));
    if (!file || !dialog.open) return;
    event.preventDefault();
    take(file);
  });
}
