// The map of all samples, for the review page and the report: positions by PCA or UMAP, colours by what one asks, a lasso.

const MAP_HEIGHT = 230;
const NEAR = 12;
const GRID = 8;
const STEPS = 10;
const LEGEND_SHOWN = 12;
const MARKED_SHOWN = 1000;
const MAP_LIMIT = 65535;
// Above these numbers points are small, and written as pixels.
const SMALL = 3000;
const MANY = 20000;

function mixColours(from, to, share) {
  const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const [a, b] = [parts(from), parts(to)];
  return `rgb(${a.map((value, at) => Math.round(value + (b[at] - value) * share)).join(" ")})`;
}

// Hues far from each other for neighbouring codes, in two lightnesses that show on white and on near-black.
function classColour(code) {
  return `hsl(${(code * 137.508 + 210) % 360} 60% ${code % 2 ? 60 : 46}%)`;
}

// Which of ten steps each value falls into: of equal width on a known range, else of equal counts.
function steps(values, range) {
  if (range) return Uint8Array.from(values, (v) => Math.min(STEPS - 1, Math.max(0, Math.floor(((v - range[0]) / (range[1] - range[0])) * STEPS))) || 0);
  const sorted = Float64Array.from(values).filter((v) => Number.isFinite(v)).sort();
  const ends = Array.from({ length: STEPS - 1 }, (_, at) => sorted[Math.floor(((at + 1) / STEPS) * sorted.length)]);
  return Uint8Array.from(values, (v) => ends.filter((end) => v >= end).length);
}

// The ways to colour the map that the columns allow, by name: {title, codes, names, colours(), ramp}. Later codes lie on top.
// Of a ramp, the names are those of its two ends.
function mapColourings(columns) {
  const { cause, label, p_wrong, p_outlier, error } = columns, colourings = {};
  const ramp = (title, values, range, names, end) => ({
    title, codes: steps(values, range), names, ramp: true,
    colours: () => Array.from({ length: STEPS }, (_, at) => mixColours(theme.none, theme[end], at / (STEPS - 1))),
  });
  if (cause) {
    // Samples without a cause come first and so lie below the others.
    const order = [...about.causes].sort((a, b) => (b === "none") - (a === "none")), place = about.causes.map((name) => order.indexOf(name));
    colourings.cause = { title: "cause", codes: Uint8Array.from(cause, (code) => place[code]), names: order, colours: () => order.map((name) => theme[name] ?? theme.none) };
  }
  if (label && about.classes)
    colourings.label = { title: about.labelName, codes: label, names: about.classes.map((_, code) => labelText(code)), colours: () => about.classes.map((_, code) => classColour(code)) };
  else if (label) colourings.label = ramp(about.labelName, label, null, ["lowest", "highest"], "imbalance");
  if (p_wrong) colourings.p_wrong = ramp("P(label wrong)", p_wrong, [0, 1], ["0", "1"], "noise");
  if (p_outlier) colourings.p_outlier = ramp("P(outlier)", p_outlier, [0, 1], ["0", "1"], "noise");
  colourings.error = ramp("error", error, null, ["lowest", "highest"], "noise");
  return colourings;
}

class EmbeddingMap extends Plot {
  // host: {choose(i), describe(i) -> nodes, selected(mask or null)}; without `selected` there is no lasso.
  constructor(columns, host, height = MAP_HEIGHT) {
    super("Map", height);
    Object.assign(this, { columns, host, chosen: -1, hovered: -1 });
    this.rows = allRows(columns.error.length);
    this.x = new Float32Array(this.rows.length);
    this.y = new Float32Array(this.rows.length);
    this.colourings = mapColourings(columns);
    this.tip = make("div", { class: "map-tip", hidden: true });
    this.legend = make("ul", { class: "map-legend" });
    this.place.classList.add("map");
    this.place.querySelector("figcaption").replaceChildren(...this.controls());
    this.place.append(this.legend, this.tip);
    this.project(about.maps[0]);
    this.colourBy(Object.keys(this.colourings)[0]);
  }
  controls() {
    const choice = (id, title, options, changed) => {
      const select = make("select", { id }, ...options.map(([value, text]) => make("option", { value }, text)));
      select.addEventListener("change", () => changed(select.value));
      return make("label", {}, `${title} `, select);
    };
    const projections = about.maps.map((name) => [name, name]);
    const colours = Object.entries(this.colourings).map(([name, { title }]) => [name, oneLine(title, 30)]);
    return [
      projections.length > 1 ? choice("map-by", "Map by", projections, (name) => { this.project(name); this.host.selected?.(null); })
        : make("span", {}, `Map by ${about.maps[0]}`),
      choice("map-colour", "colour", colours, (name) => this.colourBy(name)),
    ];
  }
  project(name) {
    // From 0 to 100, as the fields beside the map show them.
    for (const axis of ["across", "up"])
      this.columns[axis] = Float32Array.from(this.columns[`${name.toLowerCase()}_${axis}`], (v) => (100 * v) / MAP_LIMIT);
    this.repaint();
  }
  colourBy(name) {
    this.colouring = this.colourings[name];
    this.colouring.counts ??= this.colouring.codes.reduce((counts, code) => counts.set(code, (counts.get(code) ?? 0) + 1), new Map());
    this.repaint();
  }
  update(rows) {
    this.rows = rows;
    this.repaint();
  }
  strange(i) {
    const { p_strange, cause } = this.columns;
    return p_strange ? p_strange[i] > 0.5 : cause !== undefined && about.causes[cause[i]] === "strange";
  }
  draw() {
    if (!this.width || !this.colouring) return;
    const pen = this.pen();
    this.paintOnce(pen, () => {
      this.locate();
      this.paint(pen);
      this.explain();
    });
    for (const [i, colour, size] of [[this.chosen, theme.ink, 6], [this.hovered, theme.link, 5]])
      if (i >= 0) this.ring(pen, this.x[i], this.y[i], colour, size);
    if (this.path) this.outline(pen, this.path);
  }
  // Positions in pixels, and the listed samples by cells of the canvas, for finding the nearest one.
  locate() {
    const { across, up } = this.columns, inner = { width: this.width - 8, height: this.height - 8 };
    for (let i = 0; i < this.x.length; i++) {
      this.x[i] = 4 + (across[i] / 100) * inner.width;
      this.y[i] = 4 + (1 - up[i] / 100) * inner.height;
    }
    this.wide = Math.ceil(this.width / GRID) + 1;
    this.first = new Int32Array(this.wide * (Math.ceil(this.height / GRID) + 1)).fill(-1);
    this.next = new Int32Array(this.x.length);
    for (const i of this.rows) {
      const cell = Math.floor(this.y[i] / GRID) * this.wide + Math.floor(this.x[i] / GRID);
      this.next[i] = this.first[cell];
      this.first[cell] = i;
    }
  }
  paint(pen) {
    const { codes } = this.colouring, colours = this.colouring.colours(), n = this.rows.length, all = this.x.length;
    this.everyRow ??= allRows(all);
    // Sorted by colour, because setting a colour takes longer than drawing a point.
    const { sorted, starts } = sortByCode(this.rows, codes, colours.length);
    if (n < all) (all > MANY ? this.paintPixels : this.paintSquares).call(this, pen, this.everyRow, [0, all], [theme.line], 2);
    if (n > SMALL && all > MANY) this.paintPixels(pen, sorted, starts, colours);
    else {
      pen.globalAlpha = n > SMALL ? 0.65 : 0.85;
      this.paintSquares(pen, sorted, starts, colours, n > SMALL ? 2 : 3.5);
      pen.globalAlpha = 1;
    }
    this.paintCopies(pen);
    this.paintStrange(pen);
  }
  paintSquares(pen, sorted, starts, colours, size) {
    for (let code = 0; code < colours.length; code++) {
      pen.fillStyle = colours[code];
      for (let k = starts[code]; k < starts[code + 1]; k++) pen.fillRect(this.x[sorted[k]] - size / 2, this.y[sorted[k]] - size / 2, size, size);
    }
  }
  // Points of two by two pixels, written at once: many thousands of rectangles would take a second.
  paintPixels(pen, sorted, starts, colours) {
    const { width, height } = this.canvas, image = pen.getImageData(0, 0, width, height), pixels = new Uint32Array(image.data.buffer);
    const sample = make("canvas", { width: colours.length, height: 1 }).getContext("2d");
    colours.forEach((colour, at) => { sample.fillStyle = colour; sample.fillRect(at, 0, 1, 1); });
    const values = new Uint32Array(sample.getImageData(0, 0, colours.length, 1).data.buffer);
    for (let code = 0; code < colours.length; code++)
      for (let k = starts[code]; k < starts[code + 1]; k++) {
        const at = Math.round(this.y[sorted[k]] * this.ratio) * width + Math.round(this.x[sorted[k]] * this.ratio);
        pixels[at] = pixels[at + 1] = pixels[at + width] = pixels[at + width + 1] = values[code];
      }
    pen.putImageData(image, 0, 0);
  }
  // Sets of copies as squares, joined by lines; those whose labels differ in the colour of errors.
  paintCopies(pen) {
    const { copies } = this.columns;
    this.copiesShown = copies ? this.rows.filter((i) => copies.has(i)) : [];
    if (this.copiesShown.length > MARKED_SHOWN) this.copiesShown = this.copiesShown.filter((i) => copies.contradicts(i)).slice(0, MARKED_SHOWN);
    for (const i of this.copiesShown) {
      pen.strokeStyle = copies.contradicts(i) ? theme.missed : theme.soft;
      pen.strokeRect(this.x[i] - 4, this.y[i] - 4, 8, 8);
      const other = copies.of(i)[0];
      pen.beginPath();
      pen.moveTo(this.x[i], this.y[i]);
      pen.lineTo(this.x[other], this.y[other]);
      pen.stroke();
    }
  }
  paintStrange(pen) {
    this.strangeShown = this.rows.filter((i) => this.strange(i)).slice(0, MARKED_SHOWN);
    pen.strokeStyle = theme.strange;
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const i of this.strangeShown) {
      const [x, y] = [this.x[i], this.y[i]];
      pen.moveTo(x - 5, y - 4); pen.lineTo(x + 5, y - 4); pen.lineTo(x, y + 5); pen.closePath();
    }
    pen.stroke();
    pen.lineWidth = 1;
  }
  outline(pen, path) {
    pen.beginPath();
    for (const { x, y } of path) pen.lineTo(x, y);
    pen.closePath();
    pen.fillStyle = pen.strokeStyle = theme.link;
    pen.globalAlpha = 0.12;
    pen.fill("evenodd");
    pen.globalAlpha = 1;
    pen.stroke();
  }
  explain() {
    const { title, names, counts, ramp } = this.colouring, colours = this.colouring.colours();
    const swatch = (colour) => { const mark = make("i", { class: "swatch", "aria-hidden": "true" }); mark.style.background = colour; return mark; };
    const shown = ramp ? [] : names.map((name, code) => [name, code]).filter(([, code]) => counts.has(code));
    const entries = ramp ? [make("li", {}, names[0], " ", ...colours.map(swatch), names[1])]
      : shown.slice(0, LEGEND_SHOWN).map(([name, code]) => make("li", {}, swatch(colours[code]), make("bdi", {}, oneLine(name, 24))));
    if (shown.length > LEGEND_SHOWN) entries.push(make("li", {}, `and ${grouped(shown.length - LEGEND_SHOWN)} more`));
    if (this.strangeShown.length) entries.push(make("li", {}, make("span", { class: "mark strange", "aria-hidden": "true" }, "▽"), this.columns.p_strange ? " P(strange) > 0.5" : " strange"));
    if (this.copiesShown.length) entries.push(make("li", {}, make("span", { class: "mark", "aria-hidden": "true" }, "□"), " copies"));
    this.legend.replaceChildren(...entries);
    const act = this.host.selected ? "Drag around points to select them, click to open one." : "Click a point to open it.";
    this.canvas.setAttribute("aria-label", `Map of ${countRows(this.rows.length)}, coloured by ${oneLine(title, 40)}. ${act}`);
  }
  // The nearest listed sample within some pixels; -1 if there is none.
  nearest({ x, y }) {
    let nearest = -1, least = NEAR * NEAR;
    const reach = Math.ceil(NEAR / GRID), [column, line] = [Math.floor(x / GRID), Math.floor(y / GRID)];
    for (let row = Math.max(0, line - reach); row <= line + reach; row++)
      for (let at = Math.max(0, column - reach); at <= Math.min(this.wide - 1, column + reach); at++)
        for (let i = this.first[row * this.wide + at] ?? -1; i >= 0; i = this.next[i]) {
          const far = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
          if (far < least) { least = far; nearest = i; }
        }
    return nearest;
  }
  brushing() {
    const far = (a, b) => Math.abs(a.x - b.x) + Math.abs(a.y - b.y) > 4;
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.path = [this.point(event)];
      this.hover(-1);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const to = this.point(event);
      if (!this.path) { this.hover(this.nearest(to), to); return; }
      if (this.host.selected && far(this.path.at(-1), to)) { this.path.push(to); this.draw(); }
    });
    canvas.addEventListener("pointerup", (event) => {
      const { path } = this;
      this.path = null;
      if (!path) return;
      if (path.length > 2) this.host.selected(this.inside(path), event.shiftKey);
      else this.clicked(this.nearest(path[0]));
    });
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener("pointercancel", () => { this.path = null; this.draw(); });
  }
  clicked(i) {
    if (i >= 0) this.host.choose(i);
    else this.host.selected?.(null);
  }
  // Mask of the samples inside a closed path, by the number of its sides to their left. Of a sample, only the sides that pass
  // through its line of cells are tried.
  inside(path) {
    const mask = new Uint8Array(this.x.length), lines = [];
    for (let k = 0, last = path.length - 1; k < path.length; last = k++) {
      const [a, b] = [path[last], path[k]], line = (y) => Math.max(0, Math.floor(y / GRID));
      for (let at = line(Math.min(a.y, b.y)); at <= line(Math.max(a.y, b.y)); at++) (lines[at] ??= []).push([a, b]);
    }
    for (let i = 0; i < mask.length; i++) {
      const [x, y] = [this.x[i], this.y[i]];
      let within = 0;
      for (const [a, b] of lines[Math.floor(y / GRID)] ?? [])
        if (a.y > y !== b.y > y && x < a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x)) within ^= 1;
      mask[i] = within;
    }
    return mask;
  }
  hover(i, at) {
    if (i < 0) { this.tip.hidden = true; if (this.hovered >= 0) { this.hovered = -1; this.draw(); } return; }
    if (i !== this.hovered) {
      this.hovered = i;
      this.tip.replaceChildren(...this.host.describe(i));
      this.draw();
    }
    this.tip.hidden = false;
    const box = this.canvas.getBoundingClientRect();
    const across = Math.min(box.left + at.x + 14, innerWidth - this.tip.offsetWidth - 8), down = box.top + at.y + 14;
    this.tip.style.left = `${Math.max(4, across)}px`;
    this.tip.style.top = `${Math.max(4, down + this.tip.offsetHeight > innerHeight ? down - this.tip.offsetHeight - 28 : down)}px`;
  }
  // The map in a larger place, or back in its own.
  resize(height) {
    this.height = height;
    this.width = 0;
    this.resized();
  }
}
