// The scatter plot of bias and variance, and histograms, all linked by the filters.

const MOST_POINTS = 20000;
const BIN = 5;
const BARS = 40;

// The ends of a range as two fields, for users who cannot drag.
class Ends {
  constructor(name, title, filters, changed) {
    Object.assign(this, { name, filters, changed });
    [this.low, this.high] = ["from", "to"].map((words, at) => {
      const input = make("input", { type: "number", step: "any", "aria-label": `${title}, ${words}`, placeholder: words, id: `${name}-${at ? "high" : "low"}` });
      input.addEventListener("change", () => this.typed());
      return input;
    });
    this.place = make("div", { class: "range" }, this.low, this.high);
  }
  show() {
    const range = this.filters.ranges[this.name] ?? [-Infinity, Infinity];
    [this.low, this.high].forEach((input, at) => { input.value = Number.isFinite(range[at]) ? Number(range[at].toPrecision(4)) : ""; });
  }
  typed() {
    const end = (input, none) => (input.value === "" ? none : Number(input.value));
    this.set(end(this.low, -Infinity), end(this.high, Infinity));
  }
  set(low, high) {
    if (low === -Infinity && high === Infinity) delete this.filters.ranges[this.name];
    else this.filters.ranges[this.name] = [low, high];
    this.changed();
  }
}

// Two ranges side by side, each with its name.
function pairOfEnds(pair) {
  return make("div", { class: "pair" }, ...pair.map((ends) => make("div", { class: "ends" }, make("span", {}, ends.name), ends.place)));
}

class Histogram extends Plot {
  constructor(name, title, columns, filters, shape, range, changed) {
    super(title, 92);
    Object.assign(this, { name, columns, filters, shape, changed, range: range ?? extent(columns[name]) });
    this.all = this.counted(null);
    this.ends = new Ends(name, title, filters, changed);
    this.place.append(this.ends.place);
  }
  counted(mask) {
    const counts = new Uint32Array(BARS), values = this.columns[this.name];
    const low = this.shape.to(this.range[0]), width = (this.shape.to(this.range[1]) - low) / BARS || 1;
    for (let i = 0; i < values.length; i++) {
      if ((mask && !mask[i]) || Number.isNaN(values[i])) continue;
      counts[Math.min(BARS - 1, Math.max(0, Math.floor((this.shape.to(values[i]) - low) / width)))]++;
    }
    return counts;
  }
  update(mask) {
    this.now = this.counted(mask);
    this.ends.show();
    const shown = this.now.reduce((a, b) => a + b, 0);
    this.canvas.setAttribute("aria-label", `Histogram of ${this.title}: ${countRows(shown)} shown, from ${number(this.range[0])} to ${number(this.range[1])}`);
    this.draw();
  }
  draw() {
    if (!this.width || !this.now) return;
    const pen = this.pen(), bottom = this.height - MARGIN.bottom;
    const x = new Scale(...this.range, MARGIN.left, this.width - MARGIN.right, this.shape);
    const y = new Scale(0, Math.max(...this.all), bottom, MARGIN.top, root);
    this.x = x;
    this.axes(pen, x, y, true);
    const width = (x.end - x.start) / BARS;
    for (const [counts, colour] of [[this.all, theme.line], [this.now, theme.imbalance]]) {
      pen.fillStyle = colour;
      counts.forEach((count, at) => {
        if (count) pen.fillRect(x.start + at * width + 0.5, Math.min(y.at(count), bottom - 1), width - 1, Math.max(1, bottom - y.at(count)));
      });
    }
    const range = this.filters.ranges[this.name];
    const limits = (range ?? []).map((v) => Math.min(Math.max(x.at(v), x.start), x.end));
    const box = this.dragged ?? (range && { x0: Number.isFinite(range[0]) ? limits[0] : x.start, x1: Number.isFinite(range[1]) ? limits[1] : x.end });
    if (box) this.shade(pen, { ...box, y0: MARGIN.top - 4, y1: bottom });
  }
  selected({ x0, x1 }) {
    this.ends.set(x0 <= this.x.start ? -Infinity : this.x.value(x0), x1 >= this.x.end ? Infinity : this.x.value(x1));
  }
  clicked() { this.ends.set(-Infinity, Infinity); }
}

class BiasVariance extends Plot {
  constructor(columns, filters, changed, choose) {
    super("Bias (across) and variance (up)", 210);
    Object.assign(this, { columns, filters, changed, choose, rows: new Uint32Array(0), chosen: -1 });
    const span = (name) => { const [low, high] = extent(columns[name]); return [Math.min(low, 0), high]; };
    this.ranges = [span("bias"), span("variance")];
    this.ends = ["bias", "variance"].map((name) => new Ends(name, name, filters, changed));
    this.place.append(pairOfEnds(this.ends));
  }
  update(rows) {
    this.rows = rows;
    for (const ends of this.ends) ends.show();
    const binned = rows.length > MOST_POINTS;
    this.canvas.setAttribute("aria-label", `Map of bias and variance of ${countRows(rows.length)}${binned ? ", as density" : ""}, coloured by cause. Drag to filter, click to choose.`);
    this.repaint();
  }
  colour(i) {
    const { cause } = this.columns;
    return cause ? theme[about.causes[cause[i]]] ?? theme.none : theme.imbalance;
  }
  // Samples are painted once; the ring and the selection are drawn over them.
  draw() {
    if (!this.width) return;
    const pen = this.pen();
    const x = new Scale(...this.ranges[0], MARGIN.left, this.width - MARGIN.right, root);
    const y = new Scale(...this.ranges[1], this.height - MARGIN.bottom, MARGIN.top, root);
    Object.assign(this, { x, y });
    this.paintOnce(pen, () => {
      this.axes(pen, x, y);
      if (this.rows.length > MOST_POINTS) this.density(pen);
      else this.points(pen);
    });
    const { columns, chosen } = this;
    if (chosen >= 0) this.ring(pen, x.at(columns.bias[chosen]), y.at(columns.variance[chosen]), theme.ink, 6);
    const { bias, variance } = this.filters.ranges;
    const [top, bottom] = [MARGIN.top, this.height - MARGIN.bottom];
    const end = (scale, value, none) => (Number.isFinite(value) ? scale.at(value) : none);
    const box = this.dragged ?? ((bias || variance) && {
      x0: end(x, bias?.[0], x.start), x1: end(x, bias?.[1], x.end),
      y0: end(y, variance?.[1], top), y1: end(y, variance?.[0], bottom),
    });
    if (box) this.shade(pen, box);
  }
  points(pen) {
    const { bias, variance } = this.columns;
    const size = this.rows.length > 3000 ? 2 : 3;
    pen.globalAlpha = this.rows.length > 3000 ? 0.5 : 0.75;
    // The hardest last, so that they lie on top.
    for (let at = this.rows.length - 1; at >= 0; at--) {
      const i = this.rows[at];
      pen.fillStyle = this.colour(i);
      pen.fillRect(this.x.at(bias[i]) - size / 2, this.y.at(variance[i]) - size / 2, size, size);
    }
    pen.globalAlpha = 1;
  }
  density(pen) {
    const { bias, variance, cause } = this.columns, kinds = about.causes.length;
    const across = Math.ceil(this.width / BIN), up = Math.ceil(this.height / BIN);
    const counts = new Uint32Array(across * up * kinds);
    let most = 0;
    for (const i of this.rows) {
      const bx = Math.floor(this.x.at(bias[i]) / BIN), by = Math.floor(this.y.at(variance[i]) / BIN);
      if (bx >= 0 && bx < across && by >= 0 && by < up) counts[(by * across + bx) * kinds + (cause ? cause[i] : 0)]++;
    }
    const cells = [];
    for (let cell = 0; cell < across * up; cell++) {
      let total = 0, leading = 0;
      for (let kind = 0; kind < kinds; kind++) {
        const count = counts[cell * kinds + kind];
        total += count;
        if (count > counts[cell * kinds + leading]) leading = kind;
      }
      if (total) { cells.push([cell, total, leading]); most = Math.max(most, total); }
    }
    for (const [cell, total, leading] of cells) {
      pen.globalAlpha = 0.25 + 0.75 * (Math.log(total + 1) / Math.log(most + 1));
      pen.fillStyle = cause ? theme[about.causes[leading]] ?? theme.none : theme.imbalance;
      pen.fillRect((cell % across) * BIN, Math.floor(cell / across) * BIN, BIN - 0.5, BIN - 0.5);
    }
    pen.globalAlpha = 1;
  }
  selected({ x0, x1, y0, y1 }) {
    const range = (a, b) => [Math.min(a, b), Math.max(a, b)];
    this.filters.ranges.bias = range(this.x.value(x0), this.x.value(x1));
    this.filters.ranges.variance = range(this.y.value(y0), this.y.value(y1));
    this.changed();
  }
  clicked({ x, y }) {
    const { bias, variance } = this.columns;
    let nearest = -1, least = 12 * 12;
    for (const i of this.rows) {
      const far = (this.x.at(bias[i]) - x) ** 2 + (this.y.at(variance[i]) - y) ** 2;
      if (far < least) { least = far; nearest = i; }
    }
    if (nearest >= 0) { this.choose(nearest); return; }
    delete this.filters.ranges.bias;
    delete this.filters.ranges.variance;
    this.changed();
  }
}
