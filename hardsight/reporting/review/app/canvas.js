// Parts that plots share: a canvas at the screen's resolution, scales, and colours of the theme.

const MARGIN = { left: 48, right: 8, top: 8, bottom: 22 };

// Square roots spread values near zero; the sign is kept.
const root = { to: (v) => Math.sign(v) * Math.sqrt(Math.abs(v)), from: (u) => Math.sign(u) * u * u, ticks: rootTicks };
const linear = { to: (v) => v, from: (u) => u, ticks: linearTicks };

// Numbers 1, 2 and 5 times a power of ten up to high, largest first.
function roundNumbers(high, decades) {
  const top = Math.floor(Math.log10(high)), found = [];
  for (let power = top; power > top - decades; power--) for (const digit of [5, 2, 1]) found.push(Number(`${digit}e${power}`));
  return found.filter((value) => value <= high * (1 + 1e-6));
}

// Zero and round numbers, largest first: they lie apart on an axis of roots, so steps cannot be equal.
function rootTicks(low, high) {
  const [down, up] = [-low, high].map((end) => (end > 0 ? roundNumbers(end, 4) : []));
  return [0, ...up, ...down.map((value) => -value)].filter((value) => value >= low - 1e-9 && value <= high * (1 + 1e-6));
}

// Multiples of the smallest round step of which at most `most` fit.
function linearTicks(low, high, most) {
  const span = high - low, step = roundNumbers(10 * span, 4).filter((value) => span / value <= most).at(-1);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-6); at * step <= high + step * 1e-6; at++) found.push(Number((at * step).toPrecision(6)));
  return found;
}

class Scale {
  constructor(low, high, start, end, shape) {
    Object.assign(this, { start, end, shape });
    this.low = shape.to(low);
    this.high = shape.to(high > low ? high : low + 1);
  }
  at(value) { return this.start + ((this.shape.to(value) - this.low) / (this.high - this.low)) * (this.end - this.start); }
  value(at) { return this.shape.from(this.low + ((at - this.start) / (this.end - this.start)) * (this.high - this.low)); }
  // Round values at least `apart` pixels from each other, as [{at, text}]. whole: counts have no fractions.
  ticks(apart, whole = false) {
    const found = [], most = Math.abs(this.end - this.start) / apart;
    for (const value of this.shape.ticks(this.shape.from(this.low), this.shape.from(this.high), most)) {
      const at = this.at(value);
      if ((!whole || Number.isInteger(value)) && !found.some((each) => Math.abs(each.at - at) < apart)) found.push({ at, text: tickText(value) });
    }
    return found;
  }
}

function tickText(value) {
  const size = Math.abs(value);
  return value !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential().replace("e+", "e").replaceAll("-", "−") : number(value, 6);
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (Number.isFinite(value)) { if (value < low) low = value; if (value > high) high = value; }
  return low <= high ? [low, high] : [0, 1];
}

const theme = {};
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "soft", "line", "faint", "link", "noise", "imbalance", "margin", "uncertainty", "strange", "none", "paper", "missed"])
    theme[name] = style.getPropertyValue("--" + name).trim();
}

class Plot {
  constructor(title, height, describe) {
    this.canvas = make("canvas", { role: "img", tabindex: "-1" });
    this.describe = describe;
    this.title = title;
    this.height = height;
    this.canvas.style.height = height + "px";
    this.place = make("figure", { class: "plot" }, make("figcaption", {}, title), this.canvas);
    new ResizeObserver(() => this.resized()).observe(this.canvas);
    this.brushed = null;
    this.brushing();
  }
  resized() {
    const width = this.canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    if (!width || (this.width === width && this.ratio === ratio)) return;
    Object.assign(this, { width, ratio });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.height = this.height + "px";
    this.draw();
  }
  pen() {
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = "11px system-ui, sans-serif";
    return pen;
  }
  // Paints what stays while the pointer moves; until it changes, or the canvas its size, later calls copy it.
  paintOnce(pen, paint) {
    if (this.painted?.width === this.canvas.width && this.painted.height === this.canvas.height) {
      pen.drawImage(this.painted, 0, 0, this.width, this.height);
      return;
    }
    paint();
    this.painted = make("canvas", { width: this.canvas.width, height: this.canvas.height });
    this.painted.getContext("2d").drawImage(this.canvas, 0, 0);
  }
  repaint() {
    this.painted = null;
    this.draw();
  }
  ring(pen, x, y, colour, size) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(x, y, size, 0, 2 * Math.PI);
    pen.stroke();
    pen.lineWidth = 1;
  }
  axes(pen, x, y, counts = false) {
    pen.strokeStyle = theme.line;
    pen.fillStyle = theme.soft;
    pen.lineWidth = 1;
    pen.beginPath();
    const bottom = this.height - MARGIN.bottom;
    pen.textAlign = "center";
    for (const { at, text } of x.ticks(38)) {
      pen.moveTo(at, bottom); pen.lineTo(at, bottom + 4);
      pen.fillText(text, Math.min(at, this.width - pen.measureText(text).width / 2 - 1), this.height - 6);
    }
    pen.textAlign = "right";
    for (const { at, text } of y.ticks(20, counts)) {
      pen.moveTo(MARGIN.left, at); pen.lineTo(this.width - MARGIN.right, at);
      pen.fillText(text, MARGIN.left - 5, Math.max(at + 4, 10));
    }
    pen.moveTo(MARGIN.left, bottom); pen.lineTo(this.width - MARGIN.right, bottom);
    pen.stroke();
  }
  // Where an event is on the canvas.
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }
  // Drags report two corners as {x0, x1, y0, y1} in pixels when they end; a click reports a point.
  brushing() {
    let from = null;
    const corners = (to) => ({
      x0: Math.min(from.x, to.x), x1: Math.max(from.x, to.x), y0: Math.min(from.y, to.y), y1: Math.max(from.y, to.y),
    });
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = this.point(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.dragged = corners(this.point(event));
      this.draw();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (!from) return;
      const to = this.point(event), box = corners(to);
      from = this.dragged = null;
      if (box.x1 - box.x0 < 4 && box.y1 - box.y0 < 4) this.clicked(to);
      else this.selected(box);
    });
    this.canvas.addEventListener("pointercancel", () => { from = this.dragged = null; this.draw(); });
  }
  shade(pen, { x0, x1, y0, y1 }) {
    pen.fillStyle = theme.link;
    pen.globalAlpha = 0.12;
    pen.fillRect(x0, y0, x1 - x0, y1 - y0);
    pen.globalAlpha = 1;
    pen.strokeStyle = theme.link;
    pen.strokeRect(x0 + 0.5, y0 + 0.5, x1 - x0 - 1, y1 - y0 - 1);
  }
}
