// The panel of one unit: its work, its formula, and the bits and the number of each value.
class Panel {
  constructor(element, data) {
    this.data = data;
    this.title = element.querySelector(".title");
    this.formula = element.querySelector(".formula");
    this.control = element.querySelector(".control");
    this.values = element.querySelector(".values");
    this.hint = this.title.textContent;
  }

  show(machine, name, frame) {
    if (!machine) {
      this.title.textContent = this.hint;
      this.formula.textContent = this.control.textContent = "";
      this.values.replaceChildren();
      return;
    }
    const state = machine.state(name, frame);
    const work = this.data.works[state.work] ?? state.work;
    this.title.textContent = `${machine.trace.dataflow}, ${machine.trace.where[name]}: ${work}`;
    const parts = formula(machine, name, state, this.data);
    this.formula.textContent = parts
      ? `${say(machine, name, parts, "names")}   with numbers: ${say(machine, name, parts, "numbers")}` : "";
    this.control.textContent = state.control ? `control: ${state.control}` : "";
    this.values.replaceChildren(...machine.values(name).filter((key) => state[key])
      .map((key) => this.#value(key, state[key], machine.format(name, key))));
  }

  #value(key, [hex, label], format) {
    const card = document.createElement("li");
    card.dataset.value = key;
    const add = (style, text) => {
      const part = document.createElement("span");
      part.className = style;
      part.textContent = text;
      card.append(part, " ");
    };
    add("key", key);
    add("label", label);
    if (isFloat(format)) {
      const subnormal = decode(hex, format) === 0 && /1/.test(fields(hex, format).slice(1));
      add("float", exact(hex, format) + (subnormal ? " (subnormal, read as 0)" : ""));
    }
    add("hex", `0x${hex}`);
    add("bits", fields(hex, format));
    add("format", formatName(format));
    return card;
  }
}
