// Marking a session's page in a notebook: an ES module for anywidget.
//
// Python holds the session. Here is only what a browser is for: drawing what the traits say, and
// telling what a person did. Words become text nodes, never HTML.
//
// Traits: hits, judgements, about, trouble. Messages out: {kind, n, ...}; in: {kind: "done", of: n}.

const LEAST = 0.03; // a drag across less of a picture is a click

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** @param {HTMLElement} node @param {number[]} box x0, y0, x1, y1 in shares of the picture */
function place(node, [x0, y0, x1, y1]) {
  Object.assign(node.style, {
    left: `${100 * x0}%`,
    top: `${100 * y0}%`,
    width: `${100 * (x1 - x0)}%`,
    height: `${100 * (y1 - y0)}%`,
  });
}

const sign = (relevant) => (relevant ? "relevant" : "irrelevant");

class Marks {
  constructor(model, root) {
    this.model = model;
    this.sent = 0;
    this.done = 0;
    this.status = element("span", { class: "relook-status", role: "status" });
    this.title = element("span", { class: "relook-title" });
    this.again = element("button", { type: "button", class: "relook-again", onclick: () => this.send({ kind: "again" }) }, "Look again");
    this.back = element("button", { type: "button", class: "relook-undo", onclick: () => this.send({ kind: "undo" }) }, "Undo");
    this.trouble = element("p", { class: "relook-trouble", role: "alert" });
    this.grid = element("div", { class: "relook-grid" });
    root.classList.add("relook-widget");
    root.append(element("div", { class: "relook-bar" }, this.again, this.back, this.title, this.status), this.trouble, this.grid);
    /** Image id -> what is drawn of it. */
    this.cards = new Map();
    this.listeners = {
      "change:hits": () => this.drawGrid(),
      "change:judgements": () => this.drawMarks(),
      "change:about": () => this.drawBar(),
      "change:trouble": () => this.drawTrouble(),
      "msg:custom": (message) => this.heard(message),
    };
    for (const [event, listener] of Object.entries(this.listeners)) model.on(event, listener);
    this.drawGrid();
    this.drawBar();
    this.drawTrouble();
  }

  close() {
    for (const [event, listener] of Object.entries(this.listeners)) this.model.off(event, listener);
  }

  send(message) {
    this.sent += 1;
    this.model.send({ ...message, n: this.sent });
    this.drawBar();
  }

  heard(message) {
    if (message?.kind !== "done") return;
    this.done = Math.max(this.done, message.of ?? this.sent);
    this.drawBar();
  }

  drawBar() {
    const about = this.model.get("about");
    const waiting = this.done < this.sent;
    this.again.disabled = waiting;
    this.back.disabled = waiting;
    this.title.textContent = `${about.query} · page ${about.round + 1}`;
    this.status.textContent = waiting ? "working …" : [about.told, ...(about.notes ?? [])].filter(Boolean).join("; ");
  }

  drawTrouble() {
    const trouble = this.model.get("trouble");
    this.trouble.textContent = trouble.message ? `${trouble.message}${trouble.hint ? ` (${trouble.hint})` : ""}` : "";
  }

  drawGrid() {
    this.cards = new Map();
    this.grid.replaceChildren(...this.model.get("hits").map((hit, at) => this.card(hit, at + 1)));
    this.drawMarks();
  }

  card(hit, number) {
    const boxes = element("div", { class: "relook-boxes" });
    const picture = element("div", { class: "relook-picture" });
    if (hit.thumbnail) {
      picture.append(element("img", { src: hit.thumbnail, alt: hit.title || hit.name, draggable: false }), boxes);
      this.listenForBoxes(picture, hit.image_id);
    } else {
      picture.append(element("div", { class: "relook-missing" }, hit.missing));
    }
    const button = (relevant) =>
      element(
        "button",
        { type: "button", class: `relook-${sign(relevant)}`, onclick: () => this.toggle(hit.image_id, relevant), "aria-label": `${hit.name} is ${sign(relevant)}` },
        relevant ? "✓" : "✗",
      );
    const buttons = [button(true), button(false)];
    const list = element("ul", { class: "relook-list" });
    const words = element("figcaption", {}, element("span", { class: "relook-name" }, `${number} ${hit.title || hit.name}`), ...buttons, list);
    const card = element("figure", { class: "relook-card", title: hit.path }, picture, words);
    card.dataset.id = hit.image_id;
    this.cards.set(hit.image_id, { card, boxes, list, buttons });
    return card;
  }

  drawMarks() {
    const judged = this.model.get("judgements");
    for (const [imageId, { card, boxes, list, buttons }] of this.cards) {
      const here = judged.filter((judgement) => judgement.image_id === imageId);
      const whole = here.find((judgement) => judgement.box === null);
      card.dataset.mark = whole ? sign(whole.relevant) : "";
      buttons[0].setAttribute("aria-pressed", String(whole?.relevant === true));
      buttons[1].setAttribute("aria-pressed", String(whole?.relevant === false));
      const drawn = here.filter((judgement) => judgement.box !== null);
      boxes.replaceChildren(...drawn.map((judgement) => this.box(judgement)));
      this.drawList(list, drawn);
    }
  }

  box(judgement) {
    const made = element("div", { class: `relook-box relook-is-${sign(judgement.relevant)}` });
    place(made, judgement.box);
    return made;
  }

  drawList(list, drawn) {
    // A caption that is being typed must not vanish under the person's hands.
    const typing = list.querySelector("input:focus");
    const kept = typing ? { id: typing.dataset.judgement, value: typing.value } : null;
    list.replaceChildren(...drawn.map((judgement) => this.entry(judgement)));
    if (!kept) return;
    const again = list.querySelector(`input[data-judgement="${kept.id}"]`);
    if (again) {
      again.value = kept.value;
      again.focus();
    }
  }

  entry(judgement) {
    const id = judgement.judgement_id;
    const words = element("input", {
      type: "text",
      value: judgement.caption ?? "",
      placeholder: "what is it?",
      "aria-label": `Caption of the ${sign(judgement.relevant)} box`,
      onchange: (event) => this.send({ kind: "caption", judgement_id: id, text: event.target.value }),
      onkeydown: (event) => event.stopPropagation(), // the notebook has keys of its own
    });
    words.dataset.judgement = id;
    const remove = element("button", { type: "button", class: "relook-remove", "aria-label": "Remove the box", onclick: () => this.send({ kind: "remove", judgement_id: id }) }, "×");
    return element("li", { class: `relook-is-${sign(judgement.relevant)}` }, judgement.relevant ? "✓" : "✗", words, remove);
  }

  toggle(imageId, relevant) {
    const here = this.model.get("judgements").find((judgement) => judgement.image_id === imageId && judgement.box === null);
    if (here?.relevant === relevant) this.send({ kind: "remove", judgement_id: here.judgement_id });
    else this.send({ kind: "mark", image_id: imageId, relevant });
  }

  listenForBoxes(picture, imageId) {
    let begun = null;
    let shadow = null;
    const at = (event) => {
      const edges = picture.getBoundingClientRect();
      const inside = (value) => Math.min(Math.max(value, 0), 1);
      return [inside((event.clientX - edges.left) / edges.width), inside((event.clientY - edges.top) / edges.height)];
    };
    const region = (event) => {
      const [x, y] = at(event);
      return [Math.min(x, begun[0]), Math.min(y, begun[1]), Math.max(x, begun[0]), Math.max(y, begun[1])];
    };
    const end = () => {
      shadow?.remove();
      begun = null;
      shadow = null;
    };
    picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      picture.setPointerCapture(event.pointerId);
      begun = at(event);
      shadow = element("div", { class: `relook-box relook-is-${sign(!event.shiftKey)}` });
      place(shadow, [...begun, ...begun]);
      picture.append(shadow);
    });
    picture.addEventListener("pointermove", (event) => begun && place(shadow, region(event)));
    picture.addEventListener("pointercancel", end);
    picture.addEventListener("pointerup", (event) => {
      if (!begun) return;
      const box = region(event);
      const relevant = !event.shiftKey;
      end();
      if (box[2] - box[0] < LEAST || box[3] - box[1] < LEAST) this.toggle(imageId, relevant);
      else this.send({ kind: "mark", image_id: imageId, relevant, box });
    });
  }
}

export default {
  render({ model, el }) {
    const marks = new Marks(model, el);
    return () => marks.close();
  },
};
