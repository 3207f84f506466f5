/* table.js: the tables under the player: tasks, to sort and to search; what was rejected, failed, or expires. */
const COLUMNS = [
  { head: "Task", of: (task) => task.name, kind: "name" },
  { head: "State", of: (task) => task.state, kind: "state" },
  { head: "Notes", of: (task) => task.notes, kind: "number", text: (v) => number(v) },
  { head: "Rejected", of: (task) => task.rejected, kind: "number", text: (v) => number(v) },
  { head: "Tracks", of: (task) => task.tracks, kind: "number", text: (v) => number(v) },
  { head: "Length", of: (task) => task.duration, kind: "number", text: (v) => clockText(v, 0) },
  { head: "Notes/s", of: (task) => task.density, kind: "number", text: (v) => number(v, 1) },
  { head: "Key", of: (task) => task.key },
  { head: "Tempo", of: (task) => task.tempo, kind: "number", text: (v) => number(v) },
  { head: "Quality", of: (task) => task.quality, kind: "number", text: (v) => `${Math.round(100 * v)} %` },
  { head: "Remarks", of: (task) => task.reason ?? flagsText(task.faults), kind: "text" },
];

class TaskTable {
  constructor(tasks, whenChosen) {
    [this.tasks, this.whenChosen] = [tasks, whenChosen];
    [this.by, this.down] = [-1, false];
    this.rows = tasks.map((task, nth) => this.row(task, nth));
    this.words = tasks.map((task) => this.wordsOf(task));
    byId("list").replaceChildren(this.head(), make("tbody"));
    byId("search").addEventListener("input", () => this.show());
    this.show();
  }

  wordsOf(task) {
    const tracks = task.notes_packed ? task.notes_packed.tracks.map((track) => track[1]) : [];
    const flags = task.faults.map(([name]) => name.replaceAll("_", " "));
    return [task.name, task.id, task.state, task.key, ...flags, task.reason, ...tracks].join("\n").toLowerCase();
  }

  head() {
    const row = make("tr");
    this.heads = COLUMNS.map(({ head, kind }, nth) => {
      const cell = make("th", undefined, { scope: "col", class: kind ?? "" });
      const button = make("button", head, { type: "button" });
      button.addEventListener("click", () => this.sort(nth));
      cell.append(button);
      return cell;
    });
    row.append(...this.heads);
    const head = make("thead");
    head.append(row);
    return head;
  }

  row(task, nth) {
    const row = make("tr");
    row.append(...COLUMNS.map((column) => this.cell(column, task, nth)));
    return row;
  }

  cell({ of, kind, text }, task, nth) {
    const value = of(task);
    const cell = make("td", undefined, { class: kind ?? "", ...(kind === "text" ? { dir: "auto" } : {}) });
    if (kind === "name") {
      const button = make("button", value, { type: "button", dir: "auto" });
      button.addEventListener("click", () => this.whenChosen(nth));
      cell.append(button);
    } else if (kind === "state") cell.append(make("span", value, { class: `chip ${value}` }));
    else if (value === null || value === undefined) cell.textContent = "–";
    else if (kind === "text") cell.append(make("div", value, { class: "clamp", title: value }));
    else cell.textContent = text ? text(value) : value;
    return cell;
  }

  sort(by) {
    this.down = this.by === by ? !this.down : COLUMNS[by].kind === "number";
    this.by = by;
    this.heads.forEach((cell, nth) => {
      if (nth === by) cell.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    this.show();
    say(`sorted by ${COLUMNS[by].head}, ${this.down ? "largest" : "smallest"} first`);
  }

  /* The tasks that are shown, in their order; what has no value stands last. */
  order() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.tasks.map((_, nth) => nth).filter((nth) => words.every((word) => this.words[nth].includes(word)));
    if (this.by < 0) return found;
    const value = (nth) => COLUMNS[this.by].of(this.tasks[nth]) ?? null;
    const sign = this.down ? -1 : 1;
    return found.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
    });
  }

  show() {
    const order = this.order();
    byId("list").tBodies[0].replaceChildren(...order.map((nth) => this.rows[nth]));
    byId("found").textContent = `${number(order.length)} of ${plural(this.tasks.length, "task")}`;
  }

  mark(shown) {
    this.rows.forEach((row, nth) => {
      row.classList.toggle("shown", nth === shown);
      if (nth === shown) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
  }
}

/* A plain table of a report: its heads and rows of text. */
function plainTable(id, heads, rows) {
  const table = make("table");
  const head = make("tr");
  head.append(...heads.map((text) => make("th", text, { scope: "col" })));
  const body = make("tbody");
  body.append(...rows.map((cells) => plainRow(cells)));
  const top = make("thead");
  top.append(head);
  table.append(top, body);
  const box = make("div", undefined, { class: "wide", tabindex: "0", role: "region", "aria-labelledby": id });
  box.append(table);
  return box;
}

function plainRow(cells) {
  const row = make("tr");
  row.append(...cells.map((text) => make("td", text ?? "–", { class: `${text ?? ""}`.length > 24 ? "text" : "", dir: "auto" })));
  return row;
}

function waitText(when) {
  if (when === null) return "–";
  const hours = (when - Date.now()) / 3.6e6;
  if (hours < 0) return "past";
  return hours < 48 ? `in ${plural(Math.floor(hours), "hour")}` : `in ${plural(Math.floor(hours / 24), "day")}`;
}

function dateText(when) {
  return when === null ? "–" : `${new Date(when).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/* A section for a table of page.more: its title, a sentence, its rows, and how many more there are. */
function moreSection({ id, title, text, heads, rows, total, dates }) {
  const section = make("section", undefined, { "aria-labelledby": id });
  section.append(make("h2", `${title} (${number(total)})`, { id }), make("p", text, { class: "quiet" }));
  const told = rows.map((row) => row.flatMap((cell, nth) => (dates.includes(nth) ? [dateText(cell), waitText(cell)] : [cell])));
  const names = heads.flatMap((head, nth) => (dates.includes(nth) ? [head, "From now"] : [head]));
  section.append(plainTable(id, names, told));
  if (total > rows.length) section.append(make("p", `... and ${number(total - rows.length)} more`, { class: "quiet" }));
  return section;
}
