// Controls: which cycle is shown, and when the next one comes.
async function load() {
  const element = document.getElementById("data");
  if (element.type === "application/json") return JSON.parse(element.textContent);
  const packed = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

class Player {
  #timer = null;
  #address = null;

  constructor(data) {
    this.data = data;
    this.find = (selector) => document.querySelector(selector);
    this.slider = this.find("#cycle");
    this.first = Number(this.slider.min);
    this.last = Number(this.slider.max);
    this.cycle = this.first;
    this.pinned = this.hovered = null;
    this.panel = new Panel(this.find("#panel"), data);
    this.machines = [...document.querySelectorAll(".machine")].map((section, index) => {
      const machine = new Machine(data.traces[index]);
      return {
        machine, section,
        views: [...section.querySelectorAll(".array")].map((svg) => new ArrayView(svg, machine, data)),
        times: [...section.querySelectorAll(".time")].map((svg) => new TimeLine(svg, (cycle) => this.seek(cycle))),
      };
    });
    this.#controls();
    this.#units();
    document.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("hashchange", () => this.#hash());
    addEventListener("resize", () => this.paint());
    this.find("#text").addEventListener("toggle", () => this.#describe());
    if (!this.#hash()) this.seek(this.first);
  }

  get playing() {
    return this.#timer !== null;
  }

  // To a cycle, by the reader's hand: it is said aloud, and in the address.
  seek(cycle) {
    this.pause();
    this.#go(cycle);
    // browsers refuse more than some changes a second, as a slider makes them
    clearTimeout(this.#address);
    this.#address = setTimeout(() => history.replaceState(null, "", `#cycle=${this.cycle}`), 200);
  }

  play() {
    if (this.cycle >= this.last) this.#go(this.first);
    const next = () => {
      if (this.cycle >= this.last) return this.pause();
      this.#timer = setTimeout(next, 1000 / Number(this.find("#speed").value));
      this.#go(this.cycle + 1);
    };
    this.#timer = setTimeout(next, 1000 / Number(this.find("#speed").value));
    this.#button();
  }

  pause() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#button();
    this.#describe();
  }

  #go(cycle) {
    this.cycle = Math.min(Math.max(cycle, this.first), this.last);
    this.paint();
    this.#describe();
  }

  paint() {
    this.slider.value = this.cycle;
    this.slider.setAttribute("aria-valuetext", `cycle ${this.cycle}`);
    this.find("#shown").textContent = this.cycle;
    for (const { machine, section, views, times } of this.machines) {
      const frame = machine.frame(this.cycle);
      const done = machine.done(this.cycle);
      const utilisation = machine.utilisation(frame);
      section.classList.toggle("done", done);
      section.querySelector(".cycle").textContent = done
        ? `done after ${machine.trace.cycles} cycles` : `cycle ${this.cycle} of ${machine.trace.cycles}`;
      section.querySelector(".edge").textContent = `clock edge ${machine.trace.frames[frame].cycle}`;
      section.querySelector(".utilisation span").textContent = `${(100 * utilisation).toFixed(1)} %`;
      section.querySelector("meter").value = utilisation;
      views.forEach((view) => view.paint(frame));
      times.forEach((time) => time.paint(this.cycle));
    }
    this.#inspect();
  }

  #inspect() {
    const chosen = this.hovered ?? this.pinned;
    const machine = chosen && this.machines[chosen.index].machine;
    this.panel.show(machine, chosen?.name, machine?.frame(this.cycle));
  }

  // The cycle in words: for screen readers while nothing plays, and below the array while that is open.
  #describe() {
    if (this.playing) return;
    const each = (text) => this.machines.map(({ machine }) => text(machine, this.cycle, machine.frame(this.cycle), this.data));
    this.find("#live").textContent = each(summary).join(" ");
    if (!this.find("#text").open) return;
    this.find("#lines").replaceChildren(...each(lines).flat().map((line) => {
      const item = document.createElement("p");
      item.textContent = line;
      return item;
    }));
  }

  #button() {
    const button = this.find("#play");
    button.setAttribute("aria-label", this.playing ? "pause" : "play");
    button.classList.toggle("playing", this.playing);
  }

  #controls() {
    const moves = { start: () => this.first, back: () => this.cycle - 1, forward: () => this.cycle + 1, end: () => this.last };
    for (const [id, to] of Object.entries(moves)) this.find(`#${id}`).addEventListener("click", () => this.seek(to()));
    this.find("#play").addEventListener("click", () => this.#toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    const theme = this.find("#theme");
    const root = document.documentElement;
    theme.value = stored() ?? "auto";
    const apply = () => (theme.value === "auto" ? delete root.dataset.theme : (root.dataset.theme = theme.value));
    theme.addEventListener("change", () => {
      apply();
      store(theme.value);
    });
    apply();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.find("#speed").value = "0.5";
  }

  #toggle() {
    if (this.playing) this.seek(this.cycle);
    else this.play();
  }

  // Units show their values while the pointer is on them, and for good once they are chosen.
  #units() {
    this.machines.forEach(({ section, views }, index) => {
      for (const { svg, units } of views) {
        units[0].group.tabIndex = 0;
        for (const { group, name } of units) {
          group.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && this.#hover({ index, name }));
          group.addEventListener("pointerleave", () => this.#hover(null));
          group.addEventListener("click", () => this.#pin(index, name));
          group.addEventListener("focus", () => this.#pin(index, name));
        }
        svg.addEventListener("keydown", (event) => event.shiftKey && this.#move(event, units));
      }
      section.addEventListener("pointerleave", () => this.#hover(null));
    });
  }

  #hover(unit) {
    this.hovered = unit;
    this.#inspect();
  }

  #pin(index, name) {
    this.pinned = { index, name };
    this.machines.forEach(({ views }, machine) => {
      for (const { group, name: other } of views.flatMap((view) => view.units)) {
        group.classList.toggle("pinned", machine === index && other === name);
      }
    });
    this.#inspect();
  }

  // With shift, arrow keys go to the next unit that way.
  #move(event, units) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const from = units.find(({ group }) => group === document.activeElement);
    if (!way || !from) return;
    event.preventDefault();
    event.stopPropagation();
    const middle = ({ group }) => {
      const { x, y, width, height } = group.querySelector("rect").getBBox();
      return [x + width / 2, y + height / 2];
    };
    const [x, y] = middle(from);
    let [best, nearest] = [null, Infinity];
    for (const unit of units) {
      const [dx, dy] = [middle(unit)[0] - x, middle(unit)[1] - y];
      const along = dx * way[0] + dy * way[1];
      const distance = along + 4 * Math.abs(dx * way[1] + dy * way[0]);
      if (along > 1 && distance < nearest) [best, nearest] = [unit, distance];
    }
    if (!best) return;
    from.group.tabIndex = -1;
    best.group.tabIndex = 0;
    best.group.focus();
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select")) return;
    // a button and a heading that opens take the space bar themselves, the slider its arrows
    if (event.key === " " && event.target.closest("button, summary")) return;
    if (event.target === this.slider && event.key !== " " && event.key !== "+" && event.key !== "-") return;
    const keys = {
      " ": () => this.#toggle(),
      ArrowLeft: () => this.seek(this.cycle - 1),
      ArrowRight: () => this.seek(this.cycle + 1),
      Home: () => this.seek(this.first),
      End: () => this.seek(this.last),
      "+": () => this.#faster(1),
      "-": () => this.#faster(-1),
    };
    if (!keys[event.key] || (event.shiftKey && event.key !== "+")) return;
    event.preventDefault();
    keys[event.key]();
  }

  #faster(by) {
    const speed = this.find("#speed");
    speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + by, 0), speed.options.length - 1);
  }

  // The cycle that the address asks for.
  #hash() {
    const found = /^#cycle=(-?\d+)$/.exec(location.hash);
    if (found) this.seek(Number(found[1]));
    return Boolean(found);
  }
}

// A page may be denied to remember anything.
function stored() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function store(theme) {
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // then it is not remembered
  }
}

load().then((data) => {
  new Player(data);
  document.body.classList.add("ready");
}, () => {
  document.getElementById("summary").textContent = "This page needs a browser of 2023 or later.";
});
