// What is said of units in words.

// The formula of what a unit does now, as a list of texts and values; null if none is known.
function formula(machine, name, state, data) {
  const templates = data.formulas[machine.units.get(name).kind]?.[state.work] ?? [];
  for (const template of templates) {
    const parts = template.split(/[{}]/).map((text, index) => (index % 2 ? { key: text, value: state[text] } : text));
    if (parts.every((part) => typeof part === "string" || part.value)) return parts;
  }
  return null;
}

// A formula as text: the values' names, or their numbers, or both.
function say(machine, name, parts, part) {
  const one = ({ key, value }) => {
    const number = short(value[0], machine.format(name, key));
    if (part === "numbers") return number;
    if (part === "names") return value[1] || number;
    return value[1] && value[1] !== number ? `${value[1]} (${number})` : number;
  };
  return parts.map((item) => (typeof item === "string" ? item : one(item))).join("");
}

// A unit, its work, and what it computes, or else every value that it takes.
function sentence(machine, name, state, data) {
  const head = `${machine.trace.where[name]}: ${data.works[state.work] ?? state.work}`;
  const parts = formula(machine, name, state, data);
  if (parts) return `${head}; ${say(machine, name, parts, "both")}`;
  const takes = Object.keys(machine.trace.kinds[machine.units.get(name).kind].takes).filter((key) => state[key]);
  if (!takes.length) return head;
  return `${head}; ${takes.map((key) => `${key} ${say(machine, name, [{ key, value: state[key] }], "both")}`).join(", ")}`;
}

const instructionText = ({ name, what }) => `${name} ${what}`.trim();

// A whole cycle as lines of text.
function lines(machine, cycle, frame, data) {
  const { trace } = machine;
  const at = machine.instructions(cycle).map(instructionText);
  const waits = machine.waits(cycle).map((wait) => `The array waits: ${wait.cause}.`);
  const head = `${trace.dataflow}, cycle ${cycle} of ${trace.cycles}${machine.done(cycle) ? ", done" : ""}: ` +
    (at.length ? `${at.join(", ")}.` : "no instruction is at work.");
  const busy = trace.units
    .map((unit) => [unit.name, machine.state(unit.name, frame)])
    .filter(([, state]) => state.work !== "idle")
    .map(([name, state]) => `${sentence(machine, name, state, data)}.`);
  return [[head, ...waits].join(" "), ...(busy.length ? busy : ["Every unit is idle."])];
}

// The same in short: how many units do what.
function summary(machine, cycle, frame, data) {
  const counts = new Map();
  for (const unit of machine.trace.units) {
    const { work } = machine.state(unit.name, frame);
    if (work !== "idle") counts.set(work, (counts.get(work) ?? 0) + 1);
  }
  const works = [...counts].map(([work, count]) => `${count} ${data.works[work] ?? work}`);
  return `${machine.trace.dataflow}, cycle ${cycle}: ${works.length ? works.join(", ") : "every unit is idle"}.`;
}
