// A time line's cursor, and the cycle that is clicked.
class TimeLine {
  constructor(svg, seek) {
    this.svg = svg;
    this.cursor = svg.querySelector(".cursor");
    this.bars = [...svg.querySelectorAll(".bar")];
    this.first = Number(svg.dataset.first);
    this.left = Number(svg.dataset.left);
    this.wide = Number(svg.dataset.wide);
    svg.addEventListener("pointerdown", (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      if (point.x >= this.left) seek(this.first + Math.floor((point.x - this.left) / this.wide));
    });
  }

  paint(cycle) {
    this.cursor.setAttribute("x", this.left + this.wide * (cycle - this.first));
    const box = this.svg.parentElement;
    const { x, width } = this.svg.getBoundingClientRect();
    // a long one scrolls; of the two sizes one is not shown
    if (width > box.clientWidth) box.scrollLeft = this.cursor.getBoundingClientRect().x - x - box.clientWidth / 2;
    for (const bar of this.bars) {
      bar.classList.toggle("now", Number(bar.dataset.first) <= cycle && cycle <= Number(bar.dataset.last));
    }
  }
}
