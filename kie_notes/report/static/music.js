/* music.js: what can be said about notes: names, times, pitch classes, keys. Nothing here touches the page. */
const CLASSES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

function isSharp(pitch) {
  return [1, 3, 6, 8, 10].includes(pitch % 12);
}

function pitchName(pitch, drum) {
  if (drum) return page.drums[pitch] ?? `key ${pitch}`;
  return `${CLASSES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

/* 83.25 s as 1:23.3; without digits, 1:23. */
function clockText(seconds, digits) {
  const steps = 10 ** digits;
  const whole = Math.round(Math.max(seconds, 0) * steps) / steps;
  const minutes = Math.floor(whole / 60);
  const rest = (whole - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

function isHeard(tracks, track) {
  return !track.muted && (track.solo || !tracks.some((one) => one.solo));
}

/* Call act(k) for each note of a track that sounds, or starts, within [from, to). */
function eachNote(notes, track, from, to, act) {
  const first = lowerBound(track.from, track.to, from - track.longest, (k) => notes.start[k]);
  for (let k = first; k < track.to && notes.start[k] < to; k += 1) {
    if (notes.end[k] > from || notes.start[k] >= from) act(k);
  }
}

/* Seconds on each pitch class, notes that start, and those per second, of the heard tracks within [from, to). */
function portrait(notes, from, to) {
  const seconds = new Float64Array(12);
  let started = 0;
  for (const track of notes.tracks) {
    if (!isHeard(notes.tracks, track)) continue;
    eachNote(notes, track, from, to, (k) => {
      if (notes.start[k] >= from) started += 1;
      if (!track.drum) seconds[notes.pitch[k] % 12] += Math.min(notes.end[k], to) - Math.max(notes.start[k], from);
    });
  }
  return { seconds, started, perSecond: to > from ? started / (to - from) : 0, key: bestKey(seconds) };
}

function correlation(a, b) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / 12;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let k = 0; k < 12; k += 1) {
    ab += (a[k] - ma) * (b[k] - mb);
    aa += (a[k] - ma) ** 2;
    bb += (b[k] - mb) ** 2;
  }
  return aa > 1e-18 ? ab / Math.sqrt(aa * bb) : 0;
}

/* The key of the highest correlation, or null where no pitch class stands out. */
function bestKey(seconds) {
  let best = null;
  let highest = 1e-10;
  page.keys.forEach((name, nth) => {
    const profile = page.profiles[nth < 12 ? 0 : 1];
    const turned = profile.map((_, k) => profile[(k - (nth % 12) + 12) % 12]);
    const score = correlation(seconds, turned);
    if (score > highest + 1e-10) [best, highest] = [name, score];
  });
  return best;
}

/* How many notes start in each of as many equal stretches of the task. */
function densityCurve(notes, stretches) {
  const counts = new Float64Array(stretches);
  const step = Math.max(notes.last, 1e-9) / stretches;
  for (let k = 0; k < notes.start.length; k += 1) {
    counts[Math.min(stretches - 1, Math.floor(notes.start[k] / step))] += 1;
  }
  return counts;
}

/* Words for what sounds at a moment, for those who do not see the roll. */
function soundingText(notes, time) {
  const parts = [];
  for (const track of notes.tracks) {
    const names = [];
    eachNote(notes, track, time, time + 1e-3, (k) => names.push(pitchName(notes.pitch[k], track.drum)));
    if (names.length) parts.push(`${track.name}: ${[...new Set(names)].join(", ")}`);
  }
  return parts.join("; ") || "nothing sounds";
}

function noteText(notes, k) {
  const track = notes.tracks[notes.track[k]];
  const [start, end, velocity] = [notes.start[k], notes.end[k], notes.velocity[k]];
  const times = `${start.toFixed(3)} to ${end.toFixed(3)} s (${(end - start).toFixed(3)} s)`;
  return {
    title: `${pitchName(notes.pitch[k], track.drum)} (${notes.pitch[k]})`,
    name: track.name,
    details: `${times}\nvelocity ${(velocity / 127).toFixed(2)} (${velocity} of 127)`,
  };
}
