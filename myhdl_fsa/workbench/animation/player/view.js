// Sets the texts and colours of an array's SVG; view.py says the same for pictures.
class ArrayView {
  constructor(svg, machine, data) {
    this.svg = svg;
    this.machine = machine;
    this.data = data;
    this.units = [...svg.querySelectorAll(".unit")].map((group) => ({
      group,
      name: group.dataset.unit,
      letters: Number(group.dataset.letters),
      sign: group.querySelector(".sign"),
      names: [...group.querySelectorAll(".name")],
      numbers: [...group.querySelectorAll(".number")],
      paths: [...group.querySelectorAll(".path")].map((path) => ({ path, text: path.querySelector("text") })),
      painted: null,
    }));
  }

  get visible() {
    return this.svg.getBoundingClientRect().width > 0;
  }

  paint(frame) {
    if (!this.visible) return;
    for (const unit of this.units) {
      const state = this.machine.state(unit.name, frame);
      if (state !== unit.painted) this.#paintUnit(unit, state);
      unit.painted = state;
    }
  }

  #paintUnit({ group, name, letters, sign, names, numbers, paths }, state) {
    group.dataset.work = state.work;
    group.setAttribute("aria-label", sentence(this.machine, name, state, this.data));
    sign.textContent = this.data.signs[state.work] ?? state.work;
    names.forEach((text, index) => {
      const value = state[text.dataset.value];
      const number = numbers.length && value ? this.#number(name, text.dataset.value, value) : "";
      text.textContent = value ? shorten(value[1], number ? letters - number.length - 1 : letters) : "";
      if (numbers.length) numbers[index].textContent = number;
    });
    for (const { path, text } of paths) {
      const value = state[path.dataset.value];
      path.classList.toggle("on", Boolean(value));
      text.textContent = value ? this.#label(name, path, value) : "";
    }
  }

  #number(name, key, value) {
    return short(value[0], this.machine.format(name, key));
  }

  #label(name, path, value) {
    const letters = Number(path.dataset.letters);
    if (value[1]) return shorten(value[1], letters);
    const number = this.#number(name, path.dataset.value, value);
    return number.length <= letters ? number : LEFT_OUT;
  }
}
