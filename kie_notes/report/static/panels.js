/* panels.js: what stands around the roll: the tracks, the shown part, the whole task. Text from outside is set as text. */
const byId = (id) => document.getElementById(id);

/* An element with text and attributes; names from outside never become HTML. */
function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function say(text) {
  byId("said").textContent = text;
}

function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function plural(count, word) {
  return `${number(count)} ${word}${count === 1 ? "" : "s"}`;
}

function fillList(list, rows) {
  list.replaceChildren(...rows.flatMap(([term, text]) => [make("dt", term), make("dd", text, { dir: "auto" })]));
}

class Tracks {
  constructor(whenChanged) {
    this.whenChanged = whenChanged;
    this.chosen = 0;
  }

  load(notes) {
    this.notes = notes;
    this.chosen = 0;
    this.rows = notes.tracks.map((track, nth) => this.row(track, nth));
    byId("tracks").replaceChildren(...this.rows.map((row) => row.item));
    this.show();
  }

  row(track, nth) {
    const item = make("li");
    const swatch = make("span", "", { class: "swatch", "aria-hidden": "true" });
    const label = make("span", track.name, { class: "label", title: track.name, dir: "auto" });
    const mute = make("button", "M", { type: "button", "aria-label": `Mute ${track.name}`, title: "Mute" });
    const solo = make("button", "S", { type: "button", "aria-label": `Hear ${track.name} alone`, title: "Solo" });
    mute.addEventListener("click", () => this.toggle(nth, "muted"));
    solo.addEventListener("click", () => this.toggle(nth, "solo"));
    item.addEventListener("pointerdown", () => this.choose(nth));
    item.append(swatch, label, make("span", number(track.count), { class: "count" }), mute, solo);
    return { item, swatch, mute, solo };
  }

  /* Make the list say what is heard, in the colours that are in force. */
  show() {
    this.rows.forEach(({ item, swatch, mute, solo }, nth) => {
      const track = this.notes.tracks[nth];
      swatch.style.background = shownColour(track);
      mute.setAttribute("aria-pressed", track.muted);
      solo.setAttribute("aria-pressed", track.solo);
      item.classList.toggle("silent", !isHeard(this.notes.tracks, track));
      item.classList.toggle("chosen", nth === this.chosen && this.rows.length > 1);
    });
  }

  toggle(nth, what) {
    const track = this.notes.tracks[nth];
    if (!track) return;
    this.chosen = nth;
    track[what] = !track[what];
    this.show();
    const word = what === "muted" ? (track.muted ? "muted" : "not muted") : track.solo ? "alone" : "no longer alone";
    say(`${track.name}: ${word}`);
    this.whenChanged();
  }

  choose(nth) {
    if (!this.rows.length) return;
    this.chosen = (nth + this.rows.length) % this.rows.length;
    this.show();
  }

  step(by) {
    this.choose(this.chosen + by);
    const track = this.notes.tracks[this.chosen];
    if (track) say(`track ${this.chosen + 1} of ${this.rows.length}: ${track.name}, ${plural(track.count, "note")}`);
  }
}

/* The twelve pitch classes as bars, made once. */
function makeClasses() {
  const bars = CLASSES.map((name, nth) => {
    const item = make("li", undefined, isSharp(nth) ? { class: "sharp" } : {});
    item.append(make("span"), document.createTextNode(name));
    return item;
  });
  byId("classes").replaceChildren(...bars);
}

function showPart(view, task) {
  const { seconds, started, perSecond, key } = portrait(view.notes, view.from, Math.min(view.to, view.notes.last));
  const all = view.isWhole && view.notes.tracks.every((track) => isHeard(view.notes.tracks, track));
  fillList(byId("partly"), [
    ["Time", `${clockText(view.from, 1)} – ${clockText(Math.min(view.to, view.notes.last), 1)}`],
    ["Notes", `${number(started)} (${number(perSecond, 1)} per second)`],
    ["Key", (all ? task.key : key) ?? "none stands out"],
  ]);
  const most = Math.max(...seconds, 1e-9);
  const sum = Math.max(seconds.reduce((all, one) => all + one, 0), 1e-9);
  [...byId("classes").children].forEach((item, nth) => {
    item.firstChild.style.height = `${(78 * seconds[nth]) / most}%`;
    const share = `${CLASSES[nth]}: ${Math.round((100 * seconds[nth]) / sum)} %`;
    item.setAttribute("aria-label", share);
    item.title = share;
  });
}

function tempoText(task) {
  if (task.tempo === null || task.tempo === undefined) return "–";
  return `${number(task.tempo)} a minute (${Math.round(100 * task.tempo_confidence)} % sure)`;
}

function qualityText(task) {
  if (task.quality === null || task.quality === undefined) return "–";
  return `${Math.round(100 * task.quality)} % of the notes without a suspicion`;
}

/* Flags as words: "too short 12, echo 3". */
function flagsText(flags) {
  return flags.map(([name, count]) => `${name.replaceAll("_", " ")} ${number(count)}`).join(", ");
}

function showWhole(task) {
  const rows = [
    ["Length", task.duration === null ? "–" : clockText(task.duration, 0)],
    ["Notes", `${number(task.notes)} (${number(task.density, 1)} per second)`],
    ["Key", task.key ?? "–"],
    ["Tempo", tempoText(task)],
    ["Quality", qualityText(task)],
  ];
  if (task.faults.length) rows.push(["Suspicions", flagsText(task.faults)]);
  if (task.notices.length) rows.push(["Notices", flagsText(task.notices)]);
  if (task.rejected) rows.push(["Rejected", plural(task.rejected, "note")]);
  if (task.rate && task.rate !== page.grid) rows.push(["Times", "off the grid of 1/192 s; kept here to 1 ms"]);
  if (task.name !== task.id) rows.push(["Id", task.id]);
  fillList(byId("wholly"), rows);
}
