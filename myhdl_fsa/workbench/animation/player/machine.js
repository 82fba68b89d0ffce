// One trace: what each unit holds and takes in a cycle. Cycles count from the trace's start.
class Machine {
  constructor(trace) {
    this.trace = trace;
    this.units = new Map(trace.units.map((unit) => [unit.name, unit]));
    this.cycles = trace.frames.map((frame) => frame.cycle - trace.start);
    this.history = new Map(trace.units.map((unit) => [unit.name, { frames: [], states: [] }]));
    trace.frames.forEach((frame, index) => {
      for (const [name, changes] of Object.entries(frame.units)) {
        const { frames, states } = this.history.get(name);
        frames.push(index);
        states.push({ ...states.at(-1), ...changes });
      }
    });
  }

  // The number of the frame that a cycle shows: the last one up to it, or the first of all.
  frame(cycle) {
    return Math.max(lastUpTo(this.cycles, cycle), 0);
  }

  // A unit's work and values; the same object as long as nothing changes.
  state(name, frame) {
    const { frames, states } = this.history.get(name);
    return states[lastUpTo(frames, frame)];
  }

  // Of a unit's value: the name of its format and the format.
  format(name, value) {
    const kind = this.trace.kinds[this.units.get(name).kind];
    return this.trace.formats[kind.holds[value] ?? kind.takes[value]];
  }

  values(name) {
    const kind = this.trace.kinds[this.units.get(name).kind];
    return [...Object.keys(kind.holds), ...Object.keys(kind.takes)];
  }

  utilisation(frame) {
    const { cycle, multiplies } = this.trace.frames[frame];
    const cycles = cycle - this.trace.start + 1;
    return cycles > 0 ? multiplies / (this.trace.rows * this.trace.columns * cycles) : 0;
  }

  done(cycle) {
    return cycle >= this.trace.cycles;
  }

  instructions(cycle) {
    const edge = cycle + this.trace.start;
    return this.trace.instructions.filter((item) => item.first <= edge && edge <= item.last);
  }

  waits(cycle) {
    const edge = cycle + this.trace.start;
    return this.trace.waits.filter((item) => item.first <= edge && edge <= item.last);
  }
}

// The place of the last number that is at most `most` in a sorted list; -1 if there is none.
function lastUpTo(sorted, most) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= most) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
