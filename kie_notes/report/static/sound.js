/* sound.js: plays a task's notes. Notes are given to the synthesiser a moment before they sound, so that a busy page
   does not delay them; the audio clock alone says where the music is. */
const AHEAD = 0.15;
const AHEAD_WHEN_HIDDEN = 1.5;

class Sound {
  constructor(whenEnded) {
    this.whenEnded = whenEnded;
    this.playing = false;
    this.place = 0;
    this.speed = 1;
    this.volume = 0.7;
    this.loop = null;
  }

  /* The synthesiser, made at the first use: browsers let pages sound only after a person did something. */
  open() {
    if (this.synth) return;
    this.synth = new WebAudioTinySynth({ voices: 96 });
    this.clock = this.synth.getAudioContext();
    this.gain = this.clock.createGain();
    this.meter = this.clock.createAnalyser();
    this.meter.fftSize = 1024;
    this.samples = new Float32Array(this.meter.fftSize);
    this.synth.allSoundOff(0); // it greets with a note, which is to be heard of nobody
    this.synth.comp.disconnect();
    this.synth.comp.connect(this.gain).connect(this.meter).connect(this.clock.destination);
    this.setVolume(this.volume);
  }

  load(notes) {
    this.stop();
    [this.notes, this.place, this.loop] = [notes, 0, null];
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.gain) this.gain.gain.value = volume;
  }

  /* How loud it is now, 0 to 1: the largest of the last samples. */
  level() {
    if (!this.meter || this.clock.state !== "running") return 0;
    this.meter.getFloatTimeDomainData(this.samples);
    return Math.min(1, this.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
  }

  /* Where the music is, in seconds of the task. */
  now() {
    if (!this.playing) return this.place;
    if (this.jump && this.clock.currentTime >= this.jump.at) [this.anchor, this.jump] = [this.jump, null];
    const since = Math.max(0, this.clock.currentTime - this.anchor.at);
    return Math.min(this.anchor.place + since * this.speed, this.notes.last);
  }

  async play() {
    this.open();
    if (this.clock.state !== "running") await this.clock.resume();
    if (this.playing) return;
    if (this.loop && (this.place < this.loop.from || this.place >= this.loop.to)) this.place = this.loop.from;
    if (this.place >= this.notes.last - 0.01) this.place = 0;
    this.playing = true;
    this.begin(this.place, this.clock.currentTime + 0.05);
    this.timer = setInterval(() => this.tick(), 40);
    this.tick();
  }

  stop() {
    if (!this.playing) return;
    this.place = this.now();
    this.playing = false;
    clearInterval(this.timer);
    this.silence(() => true);
  }

  seek(place) {
    const within = Math.min(Math.max(place, 0), this.notes.last);
    if (!this.playing) this.place = within;
    else {
      this.silence(() => true);
      this.begin(within, this.clock.currentTime + 0.02);
      this.tick();
    }
  }

  setSpeed(speed) {
    const place = this.now();
    this.speed = speed;
    if (this.playing) this.seek(place);
  }

  setLoop(loop) {
    const place = this.now();
    this.loop = loop;
    if (this.playing) this.seek(loop && (place < loop.from || place >= loop.to) ? loop.from : place);
  }

  /* The music is at a place at a time of the clock; notes that sound there already sound on from it. */
  begin(place, at) {
    [this.anchor, this.jump] = [{ place, at }, null];
    this.from(place);
    for (const [nth, track] of this.notes.tracks.entries()) {
      if (track.drum || !isHeard(this.notes.tracks, track)) continue;
      eachNote(this.notes, track, place, place + 1e-9, (k) => {
        if (this.notes.start[k] < place && this.notes.end[k] > place + 0.05) this.sing(k, nth, place, this.anchor);
      });
    }
  }

  from(place) {
    const { order, start } = this.notes;
    this.next = lowerBound(0, order.length, place, (k) => start[order[k]]);
  }

  /* Hand over what sounds until a moment from now; at the loop's end, go on from its start. */
  tick() {
    if (!this.playing) return;
    const horizon = this.clock.currentTime + (document.hidden ? AHEAD_WHEN_HIDDEN : AHEAD);
    for (let turns = 0; turns < 100; turns += 1) {
      const last = this.jump ?? this.anchor;
      const until = last.place + (horizon - last.at) * this.speed;
      const end = this.loop && last.place < this.loop.to ? this.loop.to : Infinity;
      this.handOver(Math.min(until, end), last);
      if (until < end) break;
      this.jump = { place: this.loop.from, at: last.at + (end - last.place) / this.speed };
      this.from(this.loop.from);
    }
    if (this.now() >= this.notes.last && !this.loop) this.finish();
  }

  handOver(until, anchor) {
    const { order, start, track, tracks } = this.notes;
    for (; this.next < order.length && start[order[this.next]] < until; this.next += 1) {
      const k = order[this.next];
      if (isHeard(tracks, tracks[track[k]])) this.sing(k, track[k], start[k], anchor);
    }
  }

  /* One note, from a place in the task on. */
  sing(k, nth, place, anchor) {
    const track = this.notes.tracks[nth];
    const at = anchor.at + (place - anchor.place) / this.speed;
    const force = Math.max(1, this.notes.velocity[k]);
    if (track.drum) {
      this.synth.noteOn(9, page.playable[this.notes.pitch[k]] ?? this.notes.pitch[k], force, at);
      return;
    }
    this.synth.setProgram(0, track.program);
    this.synth.noteOn(0, this.notes.pitch[k], force, at);
    const voice = this.synth.notetab[this.synth.notetab.length - 1];
    const end = this.loop ? Math.min(this.notes.end[k], Math.max(this.loop.to, place)) : this.notes.end[k];
    voice.track = nth;
    // The synthesiser's own note-off ends every note of the pitch; this ends the one that began here.
    this.synth._releaseNote(voice, at + Math.max(0.03, (end - place) / this.speed));
  }

  /* End the notes of some tracks at once. */
  silence(chosen) {
    const { notetab } = this.synth;
    for (let k = notetab.length - 1; k >= 0; k -= 1) {
      if (notetab[k].track !== undefined && chosen(this.notes.tracks[notetab[k].track])) {
        this.synth._pruneNote(notetab[k]);
        notetab.splice(k, 1);
      }
    }
  }

  silenceUnheard() {
    if (this.playing) this.silence((track) => !isHeard(this.notes.tracks, track));
  }

  finish() {
    this.playing = false;
    clearInterval(this.timer);
    this.place = this.notes.last;
    this.whenEnded();
  }
}
