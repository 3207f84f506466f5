/* data.js: what the page holds. Tasks are JSON; a task's notes are unpacked when it is shown (see packing.py). */
const page = JSON.parse(document.getElementById("data").textContent);

async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

/* One column of whole numbers: its lowest bytes, then the next ones. */
function readColumn(bytes, at, count, width) {
  const column = new Float64Array(count);
  for (let plane = 0, place = 1; plane < width; plane += 1, place *= 256) {
    const from = at + plane * count;
    for (let k = 0; k < count; k += 1) column[k] += bytes[from + k] * place;
  }
  return column;
}

function colourOf(nth, drum) {
  return drum ? page.grey : page.colours[nth % page.colours.length];
}

/* The tracks with their place among the notes, and how often the colours went round before. */
function readTracks(rows) {
  let from = 0;
  let nth = 0;
  return rows.map(([number, name, count, program, drum]) => {
    const track = { number, name: name.trim() || "(no name)", count, program, drum, from, to: from + count, muted: false, solo: false, longest: 0 };
    track.colour = colourOf(nth, drum);
    track.round = drum ? 0 : Math.floor(nth / page.colours.length) % 3;
    nth += drum ? 0 : 1;
    from += count;
    return track;
  });
}

async function unpack(packed) {
  const bytes = await inflate(packed.data);
  const tracks = readTracks(packed.tracks);
  const count = tracks.length ? tracks[tracks.length - 1].to : 0;
  const columns = [];
  let at = 0;
  for (const width of packed.widths) {
    columns.push(readColumn(bytes, at, count, width));
    at += width * count;
  }
  return timed(tracks, columns, packed.rate);
}

/* Seconds from ticks, the order in which notes sound, and each track's longest note. */
function timed(tracks, [start, end, pitch, velocity], rate) {
  const track = new Uint16Array(start.length);
  let last = 0;
  tracks.forEach((one, nth) => {
    let ticks = 0;
    for (let k = one.from; k < one.to; k += 1) {
      ticks += start[k];
      const seconds = end[k] / rate;
      one.longest = Math.max(one.longest, seconds);
      start[k] = ticks / rate;
      end[k] = start[k] + seconds;
      last = Math.max(last, end[k]);
      track[k] = nth;
    }
  });
  const order = Uint32Array.from(start.keys()).sort((a, b) => start[a] - start[b]);
  return { tracks, start, end, pitch, velocity, track, order, last };
}

function notesOf(task) {
  task.unpacked ??= unpack(task.notes_packed);
  return task.unpacked;
}

/* The first place in [from, to) whose value is not below the bound; values ascend. */
function lowerBound(from, to, bound, valueAt) {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (valueAt(middle) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
