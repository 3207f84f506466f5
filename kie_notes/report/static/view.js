/* view.js: which part of a task is shown, and where its rows stand: time to x, pitch to y and back. */
const RULER = 24;
const SHORTEST_SPAN = 0.25;

/* Pixels a second when a task is first shown. */
const FIRST_SCALE = 22;

class View {
  constructor(notes) {
    this.notes = notes;
    this.whole = Math.max(notes.last * 1.01, SHORTEST_SPAN);
    [this.from, this.to] = [0, this.whole];
    this.layRows();
  }

  /* Rows from the top: pitches downwards, then drum keys, each with its height in pixels. */
  layRows() {
    const [low, high] = this.pitchSpan();
    const keys = this.drumKeys();
    const pitched = high >= low;
    const rows = pitched ? high - low + 1 : 0;
    this.rowHeight = rows ? Math.min(14, Math.max(4, 400 / rows)) : 0;
    this.keyHeight = Math.min(pitched ? 13 : 24, Math.max(6, (pitched ? 208 : 400) / Math.max(keys.length, 1)));
    [this.low, this.high, this.keys] = [low, high, keys];
    this.drumTop = RULER + rows * this.rowHeight + (pitched && keys.length ? 8 : 0);
    this.height = Math.max(160, Math.ceil(this.drumTop + keys.length * this.keyHeight + 6));
  }

  /* The pitches from lowest to highest, an octave at least, with room above and below. */
  pitchSpan() {
    let [low, high] = [128, -1];
    for (const track of this.notes.tracks) {
      if (track.drum) continue;
      for (let k = track.from; k < track.to; k += 1) {
        low = Math.min(low, this.notes.pitch[k]);
        high = Math.max(high, this.notes.pitch[k]);
      }
    }
    if (high < 0) return [0, -1];
    const more = Math.max(1, Math.ceil((12 - (high - low)) / 2));
    return [Math.max(0, low - more), Math.min(127, high + more)];
  }

  drumKeys() {
    const keys = new Set();
    for (const track of this.notes.tracks) {
      if (track.drum) for (let k = track.from; k < track.to; k += 1) keys.add(this.notes.pitch[k]);
    }
    return [...keys].sort((a, b) => b - a);
  }

  /* Begin with a part in which single notes can be seen; the map below shows the whole. */
  showBeginning() {
    const span = (this.width - this.gutter) / FIRST_SCALE;
    this.show(0, span > 0.7 * this.whole ? this.whole : span);
  }

  /* Tell the width in pixels; names need more room where there are drums. */
  resize(width) {
    const widest = this.keys.length ? (width < 560 ? 92 : 124) : 44;
    [this.width, this.gutter] = [width, widest];
  }

  x(time) {
    return this.gutter + ((time - this.from) / (this.to - this.from)) * (this.width - this.gutter);
  }

  time(x) {
    return this.from + ((x - this.gutter) / (this.width - this.gutter)) * (this.to - this.from);
  }

  y(pitch, drum) {
    if (!drum) return RULER + (this.high - pitch) * this.rowHeight;
    return this.drumTop + this.keys.indexOf(pitch) * this.keyHeight;
  }

  heightOf(drum) {
    return drum ? this.keyHeight : this.rowHeight;
  }

  /* Show a part of this length that begins there, kept within the task. */
  show(from, span) {
    const wide = Math.min(Math.max(span, SHORTEST_SPAN), this.whole);
    this.from = Math.min(Math.max(0, from), this.whole - wide);
    this.to = this.from + wide;
  }

  get span() {
    return this.to - this.from;
  }

  get isWhole() {
    return this.span >= this.whole * 0.999;
  }

  /* Zoom by a factor, so that the given time stays where it is. */
  zoom(factor, at) {
    const span = Math.min(Math.max(this.span * factor, SHORTEST_SPAN), this.whole);
    this.show(at - ((at - this.from) / this.span) * span, span);
  }

  pan(seconds) {
    this.show(this.from + seconds, this.span);
  }

  /* Turn the page when the cursor leaves what is shown; tell whether it was turned. */
  follow(time) {
    if (time >= this.from && time <= this.to - 0.03 * this.span) return false;
    if (this.isWhole) return false;
    this.show(time - 0.05 * this.span, this.span);
    return true;
  }

  /* Steps of the time scale: as fine as there is room for labels. */
  step() {
    const room = (80 / (this.width - this.gutter)) * this.span;
    const steps = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
    return steps.find((step) => step >= room) ?? Math.ceil(room / 3600) * 3600;
  }

  /* The note under a point, the shortest if there are several, or -1. */
  noteAt(x, y) {
    if (x < this.gutter || y < RULER) return -1;
    const reach = (3 / (this.width - this.gutter)) * this.span;
    const time = this.time(x);
    let found = -1;
    for (const track of this.notes.tracks) {
      eachNote(this.notes, track, time - reach, time + reach, (k) => {
        const top = this.y(this.notes.pitch[k], track.drum);
        if (y < top || y >= top + this.heightOf(track.drum)) return;
        const length = this.notes.end[k] - this.notes.start[k];
        if (found < 0 || length < this.notes.end[found] - this.notes.start[found]) found = k;
      });
    }
    return found;
  }
}
