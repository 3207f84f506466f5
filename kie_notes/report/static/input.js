/* input.js: pointers (mouse, pen, fingers) on the roll and the map, and keys. */
const pointers = new Map();
let drag = null;

function listenToPointers() {
  const over = byId("over");
  over.addEventListener("pointerdown", pointerDown);
  over.addEventListener("pointermove", pointerMoved);
  over.addEventListener("pointerup", pointerUp);
  over.addEventListener("pointercancel", pointerGone);
  over.addEventListener("pointerleave", () => { if (!drag) redrawHover(-1); });
  over.addEventListener("wheel", wheelTurned, { passive: false });
  const map = byId("map");
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); mapTouched(event); });
  map.addEventListener("pointermove", (event) => { if (event.buttons) mapTouched(event); });
}

function pointOf(event) {
  const box = byId("over").getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function pointerDown(event) {
  if (event.button) return;
  const point = pointOf(event);
  pointers.set(event.pointerId, point);
  event.target.setPointerCapture(event.pointerId);
  if (pointers.size === 2) drag = { kind: "pinch", ...pinchOf(), span: view.span };
  else drag = { kind: point.y < RULER ? "loop" : "pan", ...point, from: view.from, moved: false };
}

function pointerMoved(event) {
  const point = pointOf(event);
  if (!pointers.has(event.pointerId)) {
    hover(point.x, point.y);
    return;
  }
  pointers.set(event.pointerId, point);
  if (!drag) return;
  if (drag.kind === "pinch") pinch();
  else if (drag.moved || Math.abs(point.x - drag.x) > 4) dragTo(point);
}

function dragTo(point) {
  drag.moved = true;
  redrawHover(-1);
  byId("over").classList.toggle("panning", drag.kind === "pan");
  if (drag.kind === "loop") {
    const [from, to] = [view.time(drag.x), view.time(point.x)].sort((a, b) => a - b);
    drag.loop = { from: Math.max(0, from), to: Math.min(to, view.notes.last) };
    drawOver(byId("over").getContext("2d"), view, { time: sound.now(), loop: drag.loop, hovered: -1, playing: false });
  } else {
    view.show(drag.from - ((point.x - drag.x) / (view.width - view.gutter)) * view.span, view.span);
    redraw();
  }
}

function pointerUp(event) {
  const point = pointOf(event);
  if (drag?.kind === "loop" && drag.loop) setLoop(drag.loop);
  else if (drag && drag.kind !== "pinch" && !drag.moved && point.x >= view.gutter) {
    go(view.time(point.x));
    hover(point.x, point.y);
  }
  pointerGone(event);
}

function pointerGone(event) {
  pointers.delete(event.pointerId);
  byId("over").classList.remove("panning");
  drag = null;
}

function pinchOf() {
  const [a, b] = [...pointers.values()];
  return { apart: Math.max(10, Math.abs(a.x - b.x)), at: view.time((a.x + b.x) / 2) };
}

function pinch() {
  const { apart } = pinchOf();
  view.zoom((drag.span * drag.apart) / apart / view.span, drag.at);
  redraw();
}

/* Ctrl + wheel (or a pinch on a touchpad) zooms, sideways moves; else the page scrolls as ever. */
function wheelTurned(event) {
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.004), view.time(pointOf(event).x));
  else if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) view.pan((sideways / view.width) * view.span);
  else return;
  event.preventDefault();
  redraw();
}

function mapTouched(event) {
  const box = byId("map").getBoundingClientRect();
  const time = ((event.clientX - box.left) / box.width) * view.whole;
  view.show(time - view.span / 2, view.span);
  go(Math.min(time, view.notes.last));
}

/* Keys. Those that write, choose or press something else are left alone. */

const KEYS = {
  " ": () => toggle(),
  ArrowLeft: (event) => move(-1, event.shiftKey),
  ArrowRight: (event) => move(1, event.shiftKey),
  Home: () => go(0),
  End: () => go(view.notes.last),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => fit(),
  l: () => loopShown(),
  m: () => tracks.toggle(tracks.chosen, "muted"),
  s: () => tracks.toggle(tracks.chosen, "solo"),
  "?": () => byId("keys").showModal(),
};

/* On the roll alone: elsewhere these scroll, or press a button. */
const ROLL_KEYS = {
  ArrowUp: () => tracks.step(-1),
  ArrowDown: () => tracks.step(1),
  Enter: () => say(`${clockText(sound.now(), 1)}: ${soundingText(view.notes, sound.now())}`),
};

function move(sign, sideways) {
  if (sideways) view.pan((sign * view.span) / 4);
  else go(Math.min(Math.max(sound.now() + (sign * view.span) / 10, 0), view.notes.last));
  redraw();
  if (!sideways && !sound.playing) say(clockText(sound.now(), 1));
}

function keyPressed(event) {
  if (!view || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const { target } = event;
  const writes = target.matches("input[type=search], textarea");
  const steers = target.matches("select, input, .wide");
  const presses = target.matches("button, summary, a");
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = KEYS[key] ?? (target === byId("over") ? ROLL_KEYS[key] : undefined);
  if (!act || writes || (steers && key.length > 1) || (key === " " && (presses || steers))) return;
  if (!view.notes.start.length && key !== "?") return;
  event.preventDefault();
  act(event);
}
