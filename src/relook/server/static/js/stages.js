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

  /** @param {string} event @param {any} payload */
  hear(event, payload) {
    if (event === "providers") for (const name of payload.names) this.#add(name, `Looks in ${providerName(name)}`);
    else if (event === "provider") this.#provider(payload);
    else if (event === "evidence") this.#close("evidence", "Evidence", plural(payload.items.length, "item"));
    else if (event === "model") this.#model(payload);
    else if (event === "note") this.#note(payload);
    this.#show();
  }

  /** Nothing runs any more. @param {boolean} well whether it ended with an answer */
  end(well) {
    for (const stage of this.all) if (stage.state === "running") stage.state = well ? "done" : "bad";
    this.#show();
    this.element.hidden = this.all.every((stage) => stage.state === "done"); // the answer says it all
  }

  #provider(payload) {
    const result = payload.outcome === "found" ? plural(payload.n_matches, "match", "matches") : payload.message;
    const detail = [payload.outcome === "nothing" ? "nothing found" : result || payload.outcome, payload.hint];
    if (payload.cached_s !== null && payload.cached_s !== undefined) detail.push("remembered");
    else if (ENDED[payload.outcome]) detail.push(ms(payload.took_s));
    this.sent.push(...(payload.sent ?? []));
    const stage =
      this.all.find((known) => known.key === payload.provider) ?? this.#add(payload.provider, providerName(payload.provider));
    stage.state = ENDED[payload.outcome] ?? "bad";
    stage.label = stage.label.replace(/^Looks/, "Looked");
    stage.detail = detail.filter(Boolean).join(" · ");
    this.say(`${stage.label}: ${stage.detail}`);
  }

  #model(payload) {
    const beside = payload.which === "without" ? ", without evidence" : "";
    const does = payload.which === "decision" ? "weighs it" : `writes${beside}`;
    const label = payload.model ? `${modelName(payload.model)} ${does}` : "Counts what the evidence agrees on";
    this.#add(`model ${payload.which}`, label);
    this.say(label);
  }

  #note(payload) {
    const stage = this.all.findLast((earlier) => earlier.key === `model ${payload.which}`);
    if (stage) stage.detail = payload.text;
    this.say(payload.text);
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
      ...this.all.map((stage) =>
        h(
          "li",
          { class: `stage-row ${stage.state}` },
          signs[stage.state] ? icon(signs[stage.state]) : h("i", { class: "spinner" }),
          h("span", { text: stage.label }),
          stage.detail && h("span", { class: "muted", text: stage.detail }),
        ),
      ),
    );
  }
}

/** @param {number} seconds */
export const ms = (seconds) =>
  seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
