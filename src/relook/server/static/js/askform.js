/** What is asked, where it is looked up, who answers, and whether a picture may leave this machine. */

import { button, fill, h, icon } from "./dom.js";
import { check } from "./share.js";
import { keep, recall } from "./state.js";
import { modelName, providerName } from "./stages.js";

const IDEAS = ["What is this?", "Where is it?", "How old is it?"];
const NO_MODEL = "evidence-only";

/** @typedef {Api.AskChoices} Choices */

export class AskForm {
  /** @param {{submit: () => void, stop: () => void}} actions */
  constructor({ submit, stop }) {
    /** @type {Choices|null} */
    this.choices = null;
    /** @type {{name: string, row: HTMLElement, box: HTMLInputElement}[]} */
    this.providers = [];
    this.submit = submit;
    this.question = h("textarea", {
      class: "field",
      id: "ask-question",
      rows: "2",
      maxlength: "2000",
      placeholder: "What is this?",
      enterkeyhint: "send",
    });
    this.question.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#try();
    });
    this.options = h("div", { class: "ask-options" });
    this.consent = h("div", { class: "ask-consent" });
    this.ask = h("button", { class: "primary ask-go" }, icon("ask"), h("span", { text: "Ask" }));
    this.stop = button("Stop", stop, "button ask-go", "stop");
    this.stop.hidden = true;
    this.element = h(
      "form",
      { class: "ask-form", on: { submit: (event) => (event.preventDefault(), this.#try()) } },
      h("label", { for: "ask-question", class: "ask-label", text: "Your question" }),
      this.question,
      h("div", { class: "ask-ideas" }, ...IDEAS.map((idea) => this.#idea(idea))),
      this.options,
      this.consent,
      h("div", { class: "ask-foot" }, this.ask, this.stop),
    );
  }

  #idea(words) {
    return button(
      words,
      () => {
        this.question.value = words;
        this.question.focus();
      },
      "chip",
    );
  }

  /** @param {Choices} choices what this server offers */
  show(choices) {
    this.choices = choices;
    const kept = recall("ask", {});
    const offered = (names) => (names ?? []).filter((name) => choices.providers.some((provider) => provider.name === name));
    const chosen = offered(kept.providers).length ? offered(kept.providers) : choices.default_providers;
    this.providers = choices.providers.map((provider) => this.#provider(provider, chosen.includes(provider.name)));
    this.model = h(
      "select",
      { class: "field", id: "ask-model", on: { change: () => this.#changed() } },
      ...choices.models.map((model) => h("option", { value: model, text: this.#modelLabel(model) })),
    );
    this.model.value = choices.models.includes(kept.model) ? kept.model : choices.default_model;
    this.compare = check("Compare with and without evidence", Boolean(kept.compare), () => this.#changed());
    this.review = check("Let me check the evidence first", Boolean(kept.review), () => this.#changed());
    fill(
      this.options,
      h(
        "fieldset",
        {},
        h("legend", { class: "ask-label", text: "Look it up in" }),
        ...this.providers.map((provider) => provider.row),
      ),
      h("label", { for: "ask-model", class: "ask-label", text: "Answered by" }),
      this.model,
      this.compare,
      this.review,
    );
    this.#changed();
  }

  #provider(provider, on) {
    const row = check(providerName(provider.name), on, () => this.#changed());
    const box = row.querySelector("input");
    row.append(h("span", { class: "muted small", text: provider.remote ? "elsewhere" : "on this machine" }));
    row.title = provider.summary;
    box.setAttribute("aria-description", provider.summary);
    return { name: provider.name, row, box };
  }

  #modelLabel(name) {
    if (name === NO_MODEL) return "No model: what the evidence agrees on";
    const host = this.choices?.hosts?.[name];
    return host ? `${modelName(name)} (at ${host})` : modelName(name);
  }

  #changed() {
    const { providers, model, compare, review } = this.chosen;
    keep("ask", { providers, model, compare, review });
    for (const option of [this.compare, this.review]) option.hidden = !this.hasModel;
    this.#showConsent();
  }

  get hasModel() {
    return this.model.value !== NO_MODEL;
  }

  /** What the API is asked with. */
  get chosen() {
    /** @param {HTMLElement} row */
    const on = (row) => row.querySelector("input")?.checked ?? false;
    return {
      question: this.question.value.trim() || IDEAS[0],
      providers: this.providers.filter((provider) => provider.box.checked).map((provider) => provider.name),
      model: this.model.value,
      compare: on(this.compare),
      review: on(this.review),
    };
  }

  /** Who would get something of the picture, and has not been agreed to. */
  #receivers() {
    const agreed = new Set(this.choices?.consent ?? []);
    const far = (this.choices?.providers ?? []).filter((provider) => provider.remote && this.chosen.providers.includes(provider.name));
    const receivers = far.map(({ name, summary }) => ({ name, what: summary }));
    const host = this.choices?.hosts?.[this.model.value];
    if (host) receivers.push({ name: host, what: "gets the picture, your question and the evidence" });
    return { all: receivers, open: receivers.filter((receiver) => !agreed.has(receiver.name)) };
  }

  #showConsent() {
    const { all, open } = this.#receivers();
    this.agree = null;
    this.consent.hidden = !all.length;
    if (!all.length) return fill(this.consent);
    if (open.length && this.choices?.may_allow_upload)
      this.agree = check("I agree: send it there, for this picture", false, () =>
        this.consent.classList.remove("wanted"),
      );
    const list = h("ul", {}, ...all.map((receiver) => h("li", {}, h("strong", { text: receiver.name }), `: ${receiver.what}`)));
    fill(
      this.consent,
      h("p", { class: "ask-consent-head" }, icon("out"), h("strong", { text: "This leaves your machine" })),
      list,
      open.length < all.length &&
        h("p", {
          class: "note",
          text: `Agreed to before: ${all
            .filter((receiver) => !open.includes(receiver))
            .map((receiver) => receiver.name)
            .join(", ")}.`,
        }),
      this.agree,
      open.length > 0 && !this.agree && h("p", { class: "note" }, ...elsewhere(open)),
    );
  }

  /** Whether the picture may be sent wherever the choices send it; what is missing is shown. */
  get may() {
    if (!this.#receivers().open.length || this.agree?.querySelector("input").checked) return true;
    this.consent.classList.add("wanted");
    (this.agree?.querySelector("input") ?? this.model).focus();
    return false;
  }

  /** The person's word for this question. */
  get allowed() {
    return this.agree?.querySelector("input").checked ?? false;
  }

  /** Another picture needs another word. */
  forget() {
    if (this.choices) this.#showConsent();
  }

  #try() {
    if (this.choices && this.ask.hidden === false) this.submit();
  }

  /** @param {boolean} yes */
  running(yes) {
    const held = this.element.contains(document.activeElement);
    this.element.classList.toggle("running", yes);
    this.ask.hidden = yes;
    this.stop.hidden = !yes;
    this.options.inert = yes;
    if (yes && held) this.stop.focus({ preventScroll: true });
  }
}

function elsewhere(open) {
  return [
    "This server can be reached by others, so a page cannot agree for its owner. On its machine run: ",
    h("code", { text: `relook ask PICTURE --provider ${open[0].name} --allow-upload` }),
  ];
}
