// Formatting of values. Control characters are replaced by their Unicode symbols, so that they hide nothing. Few fonts have
// the symbols of line breaks and tabs, which are common in texts.

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;
const CONTROLS_BUT_LINES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

function controlSymbol(character) {
  const code = character.charCodeAt(0);
  return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? "\u2421" : "\ufffd";
}

function oneLine(text, longest = 200) {
  const cut = text.length > longest ? text.slice(0, longest - 1) + "…" : text;
  return cut.replaceAll("\t", " ").replace(/\r\n?|\n/g, " ↵ ").replace(CONTROLS, controlSymbol);
}

function lines(text) {
  return text.replace(/\r\n?/g, "\n").replace(CONTROLS_BUT_LINES, controlSymbol);
}

function number(value, digits = 3) {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (value === 0 || (Number.isInteger(value) && size < 1e15)) return grouped(value);
  if (size >= 1e4 && size < 1e9) return grouped(Number(value.toPrecision(digits)));
  const written = size >= 1e-4 && size < 1e4
    ? String(Number(value.toPrecision(digits)))
    : value.toExponential(digits - 1).replace("e+", "e");
  return written.replaceAll("-", "−");
}

// A number of the data itself. Four digits are not grouped: they may be a year.
function dataNumber(value) {
  const written = number(value, 5);
  return Math.abs(value) < 1e4 ? written.replace(",", "") : written;
}

// A number of the result: large ones, which squared errors may be, in few digits and as the report writes them.
function score(value, digits = 3, largest = 1e6) {
  return Math.abs(value) >= largest && Number.isFinite(value)
    ? value.toExponential(digits - 1).replace("e+", "e").replaceAll("-", "−") : number(value, digits);
}

// The same where there is little room.
function shortNumber(value) {
  return score(value, 2, 1e5);
}

function grouped(whole) {
  return whole.toLocaleString("en-US", { maximumFractionDigits: 0 }).replace("-", "−");
}

// Probabilities near 0 and 1 are shown as bounds, because none of them is certain.
function chance(p) {
  return Number.isNaN(p) ? "–" : p > 0.99 ? ">\u00a00.99" : p < 0.01 ? "<\u00a00.01" : p.toFixed(2);
}

function percent(p) {
  return p > 0.99 ? ">\u00a099 %" : p < 0.01 ? "<\u00a01 %" : `${Math.round(100 * p)} %`;
}

function plural(count, noun, several = `${noun}s`) {
  return `${grouped(count)} ${count === 1 ? noun : several}`;
}

// A number of rows with what they are called: samples, or parts of samples such as tokens.
const countRows = (count) => plural(count, about.nouns.row, about.nouns.rows);

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

// Creates an element with attributes and children. Strings become text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// A name, which may be broken at its word parts: after "_", "-", ".", "/", and before a capital in mixed case.
function breakable(name) {
  const parts = name.split(/(?<=[_\-./\\])(?=[^_\-./\\])|(?<=\p{Ll})(?=\p{Lu})/u);
  return parts.flatMap((part, at) => (at ? [make("wbr"), part] : [part]));
}

function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);

function labelText(value) {
  if (value === undefined) return "";
  return about.classes ? oneLine(about.classes[value], 120) : dataNumber(value);
}
