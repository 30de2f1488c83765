/** What goes on while an answer is made, one line a stage. */

import { fill, h, icon, plural } from "./dom.js";

/** @typedef {{key: string, label: string, state: "running"|"done"|"bad", detail: string}} Stage */

const PROVIDERS = { library: "your library" };
const ENDED = { found: "done", nothing: "done" };

/** A provider, for people. @param {string} name */
export const providerName = (name) => PROVIDERS[name] ?? name.replace(/:.*[\\/]/, ": ");

/** A model, for people. @param {string} name */
export function modelName(name) {
  if (!name || name === "evidence-only") return "no model";
  return name.replace(/^(openai|hf):/, "").replace(/@https?:.*$/, "");
}

export class Stages {
  /** @param {(text: string) => void} say reads aloud */
  constructor(say) {
    this.say = say;
    this.element = h("ol", { class: "stages", "aria-label": "What goes on", hidden: true });
    /** @type {Stage[]} */
    this.all = [];
    /** Everything that left this machine so far, also when no answer comes. @type {any[]} */
    this.sent = [];
  }

  clear() {
    this.all = [];
    this.sent = [];
    this.#show();
  }

  /** @param {string} event @param {any} told */
  hear(event, told) {
    if (event === "providers") for (const name of told.names) this.#add(name, `Looks in ${providerName(name)}`);
    else if (event === "provider") this.#provider(told);
    else if (event === "evidence") this.#close("evidence", "Evidence", plural(told.items.length, "item"));
    else if (event === "model") this.#model(told);
    else if (event === "note") this.#note(told);
    this.#show();
  }

  /** Nothing runs any more. @param {boolean} well whether it ended with an answer */
  end(well) {
    for (const one of this.all) if (one.state === "running") one.state = well ? "done" : "bad";
    this.#show();
    this.element.hidden = this.all.every((one) => one.state === "done"); // the answer says it all
  }

  #provider(told) {
    const found = told.outcome === "found" ? plural(told.n_matches, "match", "matches") : told.message;
    const detail = [told.outcome === "nothing" ? "nothing found" : found || told.outcome, told.hint];
    if (told.cached_s !== null && told.cached_s !== undefined) detail.push("remembered");
    else if (ENDED[told.outcome]) detail.push(ms(told.took_s));
    this.sent.push(...(told.sent ?? []));
    const stage =
      this.all.find((one) => one.key === told.provider) ?? this.#add(told.provider, providerName(told.provider));
    stage.state = ENDED[told.outcome] ?? "bad";
    stage.label = stage.label.replace(/^Looks/, "Looked");
    stage.detail = detail.filter(Boolean).join(" · ");
    this.say(`${stage.label}: ${stage.detail}`);
  }

  #model(told) {
    const beside = told.which === "without" ? ", without evidence" : "";
    const label = told.model ? `${modelName(told.model)} writes${beside}` : "Counts what the evidence agrees on";
    this.#add(`model ${told.which}`, label);
    this.say(label);
  }

  #note(told) {
    const stage = this.all.findLast((one) => one.key === `model ${told.which}`);
    if (stage) stage.detail = told.text;
    this.say(told.text);
  }

  #close(key, label, detail) {
    Object.assign(this.#add(key, label), { state: "done", detail });
    this.say(`${label}: ${detail}`);
  }

  #add(key, label) {
    /** @type {Stage} */
    const made = { key, label, state: "running", detail: "" };
    this.all.push(made);
    return made;
  }

  #show() {
    this.element.hidden = !this.all.length;
    const signs = { running: "", done: "tick", bad: "cross" };
    fill(
      this.element,
      ...this.all.map((one) =>
        h(
          "li",
          { class: `stage-row ${one.state}` },
          signs[one.state] ? icon(signs[one.state]) : h("i", { class: "spinner" }),
          h("span", { text: one.label }),
          one.detail && h("span", { class: "muted", text: one.detail }),
        ),
      ),
    );
  }
}

/** @param {number} seconds */
export const ms = (seconds) =>
  seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
