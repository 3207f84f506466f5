/* main.js: puts the page together: which task is shown, what pointer and keys do, when what is drawn. */
const sound = new Sound(() => ended());
const tracks = new Tracks(() => heardChanged());
let table = null;
let shown = -1;
let view = null;
let hovered = -1;
let dirty = true;

function redraw() {
  dirty = true;
}

/* Draw what changed, once a frame; while it plays, the cursor moves. */
function frame() {
  requestAnimationFrame(frame);
  if (!view) return;
  const time = sound.now();
  if (sound.playing && view.follow(time)) dirty = true;
  if (dirty) {
    drawRoll(byId("roll"), view);
    prepared(byId("over"), view.width, view.height);
    showPart(view, page.tasks[shown]);
  }
  if (dirty || sound.playing) drawMoving(time);
  dirty = false;
}

function drawMoving(time) {
  const now = { time, loop: sound.loop, hovered, playing: sound.playing };
  drawOver(byId("over").getContext("2d"), view, now);
  drawMap(byId("map"), view, now);
  byId("clock").textContent = `${clockText(time, 1)} / ${clockText(view.notes.last, 0)}`;
  byId("level").value = sound.level();
  const map = byId("map");
  map.setAttribute("aria-valuenow", time.toFixed(2));
  map.setAttribute("aria-valuetext", `${clockText(time, 0)} of ${clockText(view.notes.last, 0)}`);
}

async function show(nth) {
  sound.stop();
  tellPlaying();
  shown = nth;
  const task = page.tasks[nth];
  const notes = task.notes_packed ? await notesOf(task) : timed([], [[], [], [], []].map(() => new Float64Array()), 1);
  if (shown !== nth) return;
  task.rate = task.notes_packed?.rate;
  byId("name").textContent = task.name;
  byId("about").textContent = [task.about, plural(task.notes, "note"), plural(notes.tracks.length, "track")].filter(Boolean).join(" · ");
  sound.load(notes);
  view = new View(notes);
  hovered = -1;
  byId("tip").hidden = true;
  fitCanvas();
  view.showBeginning();
  tracks.load(notes);
  showWhole(task);
  showEmpty(task, notes);
  table?.mark(nth);
  byId("map").setAttribute("aria-valuemax", notes.last.toFixed(2));
  byId("over").setAttribute("aria-label", `Piano roll of ${task.name}. Enter says what sounds at the cursor.`);
  [byId("previous").disabled, byId("next").disabled] = [nth <= 0, nth >= page.tasks.length - 1];
  tellLoop();
  document.body.dataset.ready = String(nth);
}

function showEmpty(task, notes) {
  const empty = !notes.start.length;
  byId("none").hidden = !empty;
  byId("none").textContent = empty ? (task.reason ?? `No notes: this task is ${task.state}.`) : "";
  for (const id of ["play", "loop", "in", "out", "fit"]) byId(id).disabled = empty;
  const pitched = notes.tracks.some((track) => !track.drum);
  for (const id of ["classes", "classes-title"]) byId(id).hidden = !pitched;
}

function fitCanvas() {
  view.resize(byId("stage").clientWidth);
  byId("stage").style.height = `${view.height + 2}px`;
  redraw();
}

/* Playing. */

async function toggle() {
  if (!view?.notes.start.length) return;
  if (sound.playing) sound.stop();
  else {
    try {
      await sound.play();
    } catch (fault) {
      complain(`This browser cannot play: ${fault.message}`);
    }
  }
  say(sound.playing ? "playing" : `paused at ${clockText(sound.now(), 0)}`);
  tellPlaying();
}

function tellPlaying() {
  byId("play").classList.toggle("playing", sound.playing);
  byId("play").setAttribute("aria-label", sound.playing ? "Pause" : "Play");
  redraw();
}

function ended() {
  tellPlaying();
  say("the end");
}

function go(time) {
  sound.seek(time);
  if (!view.isWhole && (time < view.from || time > view.to)) view.show(time - view.span / 2, view.span);
  redraw();
}

function heardChanged() {
  sound.silenceUnheard();
  redraw();
}

function setLoop(loop) {
  sound.setLoop(loop && loop.to - loop.from >= 0.1 ? loop : null);
  tellLoop();
  say(sound.loop ? `looping ${clockText(sound.loop.from, 1)} to ${clockText(sound.loop.to, 1)}` : "not looping");
  redraw();
}

function tellLoop() {
  byId("loop").setAttribute("aria-pressed", String(Boolean(sound.loop)));
}

function loopShown() {
  setLoop(sound.loop ? null : { from: view.from, to: Math.min(view.to, view.notes.last) });
}

/* Looking. */

function zoom(factor, at = sound.now()) {
  view.zoom(factor, Math.min(Math.max(at, view.from), view.to));
  redraw();
}

function fit() {
  view.show(0, view.whole);
  redraw();
}

function hover(x, y) {
  const found = view.noteAt(x, y);
  if (found !== hovered) redrawHover(found);
  if (found >= 0) placeTip(x, y);
}

function redrawHover(found) {
  hovered = found;
  const tip = byId("tip");
  tip.hidden = found < 0;
  if (found >= 0) {
    const { title, name, details } = noteText(view.notes, found);
    tip.replaceChildren(make("strong", title), "\n", make("bdi", name), `\n${details}`);
  }
  drawMoving(sound.now());
}

function placeTip(x, y) {
  const tip = byId("tip");
  const right = Math.max(4, Math.min(x + 14, view.width - tip.offsetWidth - 4));
  const below = y + tip.offsetHeight + 24 > view.height ? y - tip.offsetHeight - 12 : y + 16;
  tip.style.left = `${right}px`;
  tip.style.top = `${Math.max(4, below)}px`;
}

function complain(text) {
  byId("fault").hidden = false;
  byId("fault").textContent = text;
}

/* Start. */

function listen() {
  const on = (id, act) => byId(id).addEventListener("click", act);
  on("play", toggle);
  on("loop", loopShown);
  on("in", () => zoom(0.5));
  on("out", () => zoom(2));
  on("fit", fit);
  on("help", () => byId("keys").showModal());
  on("previous", () => show(shown - 1));
  on("next", () => show(shown + 1));
  byId("speed").addEventListener("change", (event) => sound.setSpeed(Number(event.target.value)));
  byId("volume").addEventListener("input", (event) => sound.setVolume(Number(event.target.value)));
  listenToPointers();
  document.addEventListener("keydown", keyPressed);
  new ResizeObserver(() => view && fitCanvas()).observe(byId("stage"));
  const recolour = () => { readTheme(); if (view) { tracks.show(); drawNow(); } };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  matchMedia("print").addEventListener("change", recolour);
  window.addEventListener("beforeprint", recolour);
  window.addEventListener("afterprint", recolour);
}

/* Paper does not wait for the next frame. */
function drawNow() {
  drawRoll(byId("roll"), view);
  redraw();
}

async function start() {
  byId("app").hidden = false;
  readTheme();
  makeClasses();
  listen();
  const many = page.tasks.length > 1;
  byId("tasks").hidden = !many && !page.tasks.some((task) => !task.notes_packed);
  byId("player").hidden = !page.tasks.length;
  for (const step of ["previous", "next"]) byId(step).hidden = !many;
  const first = Math.max(0, page.tasks.findIndex((task) => task.notes_packed));
  if (page.tasks.length) await show(first);
  frame();
  performance.mark("first roll");
  if (!byId("tasks").hidden) table = new TaskTable(page.tasks, (nth) => chooseTask(nth));
  table?.mark(first);
  byId("more").append(...page.more.map(moreSection));
  document.body.dataset.started = "yes";
}

async function chooseTask(nth) {
  await show(nth);
  byId("player").scrollIntoView({ block: "start" });
  say(`showing ${page.tasks[nth].name}`);
}

if (typeof DecompressionStream === "undefined") {
  complain("This browser is too old to unpack the notes: it needs DecompressionStream (all major browsers since 2023).");
} else {
  start().catch((fault) => complain(`The page could not be shown: ${fault.message}`));
}
