/* roll.js: draws the piano roll, what lies over it (cursor, loop, notes that sound) and the map of the whole task. */
const THEME = {};

/* Colours as the style sheet has them now; they follow light, dark and paper. */
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "panel", "text", "quiet", "line", "accent", "row", "octave", "cursor", "loop", "glow"]) {
    THEME[name] = style.getPropertyValue(`--${name}`).trim();
  }
  THEME.dark = isDark();
}

function isDark() {
  return !matchMedia("print").matches && matchMedia("(prefers-color-scheme: dark)").matches;
}

function mixed(colour, other, part) {
  const parts = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const [a, b] = [parts(colour), parts(other)];
  return `rgb(${a.map((value, k) => Math.round(value * (1 - part) + b[k] * part)).join(",")})`;
}

/* A track's colour: its own, lighter on a dark page; mixed with the text's when all colours are used up. */
function shownColour(track) {
  const part = (THEME.dark ? 0.25 : 0) + track.round * 0.3;
  return part ? mixed(track.colour, THEME.dark ? "#ffffff" : "#1d2127", Math.min(part, 0.8)) : track.colour;
}

/* Fit a canvas to its place, in the screen's own pixels, and give its context. */
function prepared(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function drawRows(context, view) {
  context.fillStyle = THEME.panel;
  context.fillRect(0, 0, view.width, view.height);
  for (let pitch = view.low; pitch <= view.high; pitch += 1) {
    const y = view.y(pitch, false);
    if (isSharp(pitch)) {
      context.fillStyle = THEME.row;
      context.fillRect(view.gutter, y, view.width, view.rowHeight);
    }
    if (pitch % 12 === 0) {
      context.fillStyle = THEME.octave;
      context.fillRect(view.gutter, Math.round(y + view.rowHeight) - 0.5, view.width, 1);
    }
  }
  view.keys.forEach((key, nth) => {
    context.fillStyle = nth % 2 ? THEME.panel : THEME.row;
    context.fillRect(view.gutter, view.y(key, true), view.width, view.keyHeight);
  });
}

function drawScale(context, view) {
  const step = view.step();
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "left";
  for (let k = Math.ceil(view.from / step); k * step <= view.to; k += 1) {
    const x = Math.round(view.x(k * step));
    context.fillStyle = THEME.line;
    context.fillRect(x, 0, 1, view.height);
    context.fillStyle = THEME.quiet;
    if (x + 42 < view.width) context.fillText(clockText(k * step, digits), x + 4, RULER / 2);
  }
  context.fillStyle = THEME.line;
  context.fillRect(0, RULER - 1, view.width, 1);
}

function drawNotes(context, view) {
  const { notes } = view;
  context.save();
  context.beginPath();
  context.rect(view.gutter, RULER, view.width - view.gutter, view.height);
  context.clip();
  for (const track of notes.tracks) {
    const heard = isHeard(notes.tracks, track);
    const height = view.heightOf(track.drum) - (view.heightOf(track.drum) > 5 ? 1 : 0);
    context.fillStyle = shownColour(track);
    eachNote(notes, track, view.from, view.to, (k) => {
      const x = view.x(notes.start[k]);
      const width = track.drum ? Math.max(3, Math.min(6, view.x(notes.end[k]) - x)) : view.x(notes.end[k]) - x;
      context.globalAlpha = heard ? 0.6 + 0.4 * (notes.velocity[k] / 127) : 0.12;
      context.fillRect(x, view.y(notes.pitch[k], track.drum) + 0.5, Math.max(width - 0.5, 1.5), height);
    });
  }
  context.restore();
}

function drawNames(context, view) {
  context.fillStyle = THEME.panel;
  context.fillRect(0, RULER, view.gutter, view.height);
  context.fillStyle = THEME.line;
  context.fillRect(view.gutter - 1, 0, 1, view.height);
  if (view.keys.length && view.high >= view.low) context.fillRect(0, view.drumTop - 5, view.width, 1);
  context.fillStyle = THEME.quiet;
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.font = "12px system-ui, sans-serif";
  const room = view.gutter - 10;
  for (let pitch = view.low; pitch <= view.high; pitch += 1) {
    const named = pitch % 12 === 0 || (view.high - view.low < 20 && !isSharp(pitch) && view.rowHeight > 9);
    if (named) context.fillText(pitchName(pitch, false), room + 4, view.y(pitch, false) + view.rowHeight / 2);
  }
  context.font = `${view.gutter < 110 ? 10 : 11}px system-ui, sans-serif`;
  view.keys.forEach((key) => {
    const y = view.y(key, true) + view.keyHeight / 2 + 0.5;
    if (view.keyHeight >= 10) context.fillText(pitchName(key, true), room + 4, y, room);
  });
}

function drawRoll(canvas, view) {
  const context = prepared(canvas, view.width, view.height);
  drawRows(context, view);
  drawScale(context, view);
  drawNotes(context, view);
  drawNames(context, view);
}

/* What lies over the roll: the loop, the notes that sound now, the note under the pointer, the cursor. */
function drawOver(context, view, { time, loop, hovered, playing }) {
  context.clearRect(0, 0, view.width, view.height);
  context.save();
  context.beginPath();
  context.rect(view.gutter, 0, view.width - view.gutter, view.height);
  context.clip();
  if (loop) {
    context.fillStyle = THEME.loop;
    context.fillRect(view.x(loop.from), 0, view.x(loop.to) - view.x(loop.from), view.height);
    context.fillStyle = THEME.accent;
    context.fillRect(view.x(loop.from), 0, view.x(loop.to) - view.x(loop.from), 4);
  }
  if (playing) drawSounding(context, view, time);
  if (hovered >= 0) outline(context, view, hovered, 2);
  const x = view.x(time);
  context.fillStyle = THEME.cursor;
  context.fillRect(x - 1, 0, 2, view.height);
  context.beginPath();
  context.moveTo(x - 6, 0);
  context.lineTo(x + 6, 0);
  context.lineTo(x, 9);
  context.fill();
  context.restore();
}

function outline(context, view, k, thick) {
  const { notes } = view;
  const { drum } = notes.tracks[notes.track[k]];
  const x = view.x(notes.start[k]);
  const width = Math.max(drum ? Math.min(6, view.x(notes.end[k]) - x) : view.x(notes.end[k]) - x, 3);
  context.strokeStyle = THEME.glow;
  context.lineWidth = thick;
  context.strokeRect(x, view.y(notes.pitch[k], drum), width, view.heightOf(drum));
}

function drawSounding(context, view, time) {
  for (const track of view.notes.tracks) {
    if (!isHeard(view.notes.tracks, track)) continue;
    eachNote(view.notes, track, time - (track.drum ? 0.08 : 0), time + 1e-3, (k) => outline(context, view, k, 1.5));
  }
}

/* The whole task: how dense it is, and which part is shown. */
function drawMap(canvas, view, { time, loop }) {
  const [width, height] = [canvas.clientWidth, 47];
  const context = prepared(canvas, width, height);
  const place = (seconds) => (seconds / view.whole) * width;
  context.fillStyle = THEME.back;
  context.fillRect(0, 0, width, height);
  view.curve ??= densityCurve(view.notes, 240);
  const most = Math.max(...view.curve, 1);
  const step = place(view.notes.last) / view.curve.length;
  context.fillStyle = THEME.quiet;
  context.globalAlpha = 0.55;
  view.curve.forEach((count, k) => {
    const tall = (count / most) * (height - 8);
    context.fillRect(k * step, height - tall, Math.max(step - 0.5, 0.5), tall);
  });
  context.globalAlpha = 1;
  context.fillStyle = THEME.loop;
  if (loop) context.fillRect(place(loop.from), 0, place(loop.to) - place(loop.from), height);
  context.strokeStyle = THEME.accent;
  context.lineWidth = 2;
  if (!view.isWhole) context.strokeRect(place(view.from) + 1, 1, Math.max(place(view.span) - 2, 4), height - 2);
  context.fillStyle = THEME.cursor;
  context.fillRect(place(time) - 1, 0, 2, height);
}
