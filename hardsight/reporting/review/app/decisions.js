// Decisions by row, with undo and redo. They are kept by the browser or the server, written to csv and read from it.

const ACTIONS = ["keep", "relabel", "drop", "unsure"];
// As in hardsight/io/csv_cells.py: another program may take some characters for the end of a cell, so that a new one begins.
const FORMULA = /(?:^|(?<=[,;\t\r\n]))(?='*[=+\-@\t\r\n＝＋－＠])/g;
const ESCAPED = /(?:^|(?<=[,;\t\r\n]))'(?='*[=+\-@\t\r\n＝＋－＠])/g;
const PLAIN_NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

const escapeCell = (text) => (PLAIN_NUMBER.test(text) ? text : text.replaceAll(FORMULA, "'"));
const unescapeCell = (cell) => cell.replaceAll(ESCAPED, "");
const quoteCell = (text) => (/[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csvRow = (cells) => cells.map((cell) => quoteCell(escapeCell(cell))).join(",");

// Parses a csv text into rows of cells.
function csvRows(text) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  const first = text.split(/[\r\n]/, 1)[0];
  const mark = [",", ";", "\t"].find((each) => first.includes(each)) ?? ",";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') { cell += c; i++; }
      else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === mark) { row.push(cell); cell = ""; }
    else if (c === "\n" || c === "\r") {
      if (c === "\r" && text[i + 1] === "\n") i++;
      row.push(cell); rows.push(row); row = []; cell = "";
    } else cell += c;
  }
  if (quoted) throw new Error("a quotation mark is not closed");
  if (cell || row.length) { row.push(cell); rows.push(row); }
  return rows.filter((cells) => cells.some(Boolean));
}

const same = (a, b) => a?.action === b?.action && a?.label === b?.label;

class Decisions {
  // keeper: put(row, decision or undefined), remember(past, future). changed(rows) is called after every change.
  constructor(ids, given, keeper, changed) {
    Object.assign(this, { ids, given, keeper, changed, byRow: new Map(), past: [], future: [] });
  }
  get(row) { return this.byRow.get(row); }
  // Steps are lists of [row, before, after]: an import is one step.
  decide(row, decision) { this.step([[row, this.get(row), decision]]); }
  step(changes) {
    const real = changes.filter(([, before, after]) => !same(before, after));
    if (!real.length) return;
    this.past.push(real);
    this.future = [];
    this.apply(real.map(([row, , after]) => [row, after]));
  }
  undo() { return this.transfer(this.past, this.future, 1); }
  redo() { return this.transfer(this.future, this.past, 2); }
  transfer(from, to, which) {
    const changes = from.pop();
    if (!changes) return null;
    to.push(changes);
    this.apply(changes.map((change) => [change[0], change[which]]));
    return changes;
  }
  apply(changes) {
    for (const [row, decision] of changes) {
      this.set(row, decision);
      this.keeper.put(row, decision);
    }
    this.keeper.remember(this.past, this.future);
    this.changed(changes.map(([row]) => row));
  }
  set(row, decision) {
    if (decision) this.byRow.set(row, decision);
    else this.byRow.delete(row);
  }
  counts() {
    const counts = Object.fromEntries(ACTIONS.map((action) => [action, 0]));
    for (const { action } of this.byRow.values()) counts[action]++;
    return counts;
  }
  csv() {
    const rows = [...this.byRow.keys()].sort((a, b) => a - b).map((row) => {
      const { action, label } = this.byRow.get(row);
      const cells = [this.ids.text(row), action, action === "relabel" ? labelCell(label) : "", this.given ? labelCell(this.given[row]) : ""];
      return csvRow(this.probability ? [...cells, ...this.probability(row, action === "relabel" ? label : undefined)] : cells);
    });
    return "\ufeff" + ["id,action,label,given" + (this.probability ? ",p_wrong,p_suggested" : ""), ...rows, ""].join("\r\n");
  }
  // The row with an id; undefined if there is none.
  rowOf(id) {
    this.rows ??= new Map(Array.from({ length: this.ids.length }, (_, row) => [this.ids.text(row), row]));
    return this.rows.get(id);
  }
  // Parses decisions of a csv text into changes; throws a readable error.
  read(text) {
    const [header, ...rows] = csvRows(text.replace(/^\ufeff/, ""));
    const names = (header ?? []).map((name) => name.trim().toLowerCase());
    const [id, action, label, given] = ["id", "action", "label", "given"].map((name) => names.indexOf(name));
    if (id < 0 || action < 0) throw new Error("it has no columns id and action");
    const seen = new Set();
    return rows.map((cells, at) => {
      const name = unescapeCell(cells[id] ?? ""), row = this.rowOf(name), done = (cells[action] ?? "").trim().toLowerCase();
      const where = `row ${at + 2}, id ${oneLine(name, 40)}`;
      if (row === undefined) throw new Error(`${where}: this result has no such ${about.nouns.row}`);
      if (seen.has(row)) throw new Error(`${where}: it appears twice`);
      if (!ACTIONS.includes(done)) throw new Error(`${where}: ${oneLine(done, 40) || "nothing"} is not one of ${ACTIONS.join(", ")}`);
      const reviewed = unescapeCell(cells[given] ?? "");
      if (this.given && !matchesLabel(reviewed, this.given[row]))
        throw new Error(`${where}: its label was ${oneLine(reviewed, 40)}, and is ${labelText(this.given[row])} here`);
      seen.add(row);
      const after = { action: done };
      if (done === "relabel") {
        after.label = labelOf(unescapeCell(cells[label] ?? ""));
        if (after.label === undefined) throw new Error(`${where}: its new label is not known here`);
      }
      return [row, this.get(row), after];
    });
  }
}

// Labels in csv: class names, or numbers in full.
function labelCell(label) {
  return about.classes ? about.classes[label] : String(label);
}

function labelOf(text) {
  if (!about.classes) {
    const value = Number(text);
    return text.trim() && Number.isFinite(value) ? value : undefined;
  }
  labelOf.codes ??= new Map(about.classes.map((name, code) => [name, code]));
  return labelOf.codes.get(text);
}

// Whether a cell is empty or holds that label, maybe as a spreadsheet rewrote it: as in hardsight/difficulty/decisions.py.
function matchesLabel(cell, label) {
  const text = cell.trim().toLowerCase(), name = labelCell(label).trim().toLowerCase(), [a, b] = [text, name].map(Number);
  return !text || text === name || a === b || (!about.classes && Math.abs(a - b) <= 1e-5 * Math.max(Math.abs(a), Math.abs(b)));
}

// Stores every decision under a key of its own at once, so that neither a crash nor a second tab loses one.
class Keeper {
  constructor(alarm) {
    this.prefix = `hardsight:${about.identity}:`;
    this.alarm = alarm;
    this.lost = false;
  }
  put(row, decision) {
    const key = this.prefix + row;
    this.write(key, decision && (decision.action === "relabel" ? `relabel ${decision.label}` : decision.action));
  }
  remember(past, future) { this.write(this.prefix + "steps", JSON.stringify([past.slice(-200), future.slice(-200)])); }
  write(key, value) {
    try {
      if (value === undefined) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch {
      this.lost = true;
      this.alarm("This browser cannot store decisions: export them before you close the page.");
    }
  }
  decision(text) {
    const [action, label] = (text ?? "").split(" ");
    if (!ACTIONS.includes(action)) return undefined;
    if (action !== "relabel") return { action };
    const value = Number(label);
    return about.classes && !(value in about.classes) ? undefined : { action, label: value };
  }
  // Reads the stored decisions, [[row, decision]], and the steps.
  readStored() {
    const found = [];
    let steps = [[], []];
    try {
      for (let i = 0; i < localStorage.length; i++) {
        const key = localStorage.key(i);
        if (!key.startsWith(this.prefix)) continue;
        const row = Number(key.slice(this.prefix.length));
        const decision = this.decision(localStorage.getItem(key));
        if (Number.isInteger(row) && row >= 0 && row < about.n && decision) found.push([row, decision]);
      }
      steps = JSON.parse(localStorage.getItem(this.prefix + "steps")) ?? steps;
    } catch { /* No storage: the first decision raises the alarm. */ }
    return { found, steps: Array.isArray(steps) && steps.every(Array.isArray) ? steps : [[], []] };
  }
  // Returns what another tab decided.
  parseEvent(event) {
    if (!event.key?.startsWith(this.prefix)) return null;
    const row = Number(event.key.slice(this.prefix.length));
    return Number.isInteger(row) ? [row, this.decision(event.newValue)] : null;
  }
}

// A keeper that also sends all decisions to the server soon after, and again if the server did not take them.
class ServedKeeper extends Keeper {
  constructor(alarm, csv) {
    super(alarm);
    this.csv = csv;
    this.waiting = 0;
    this.sending = false;
  }
  remember(past, future) {
    super.remember(past, future);
    this.write(this.prefix + "unsent", "1");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.send(), 300);
  }
  async send() {
    if (this.sending) { this.again = true; return; }
    this.sending = true;
    let taken = false;
    try {
      const answer = await fetch("decisions.csv", { method: "PUT", body: this.csv(), headers: { "Content-Type": "text/csv" } });
      taken = answer.ok;
    } catch { /* The server is gone: the alarm below says so. */ }
    this.sending = false;
    if (this.again) { this.again = false; return this.send(); }
    if (taken) { this.write(this.prefix + "unsent", undefined); this.alarm(""); }
    else {
      this.alarm("The server does not take decisions: this browser keeps them. Export them, or start the server again.");
      this.waiting = setTimeout(() => this.send(), 3000);
    }
    this.lost = !taken;
  }
  // Replaces the stored decisions by those of the server, so that no older one comes back later.
  replaceStored(byRow) {
    for (const [row] of this.readStored().found) if (!byRow.has(row)) this.put(row, undefined);
    for (const [row, decision] of byRow) this.put(row, decision);
  }
  async fetchDecisions() {
    const answer = await fetch("decisions.csv");
    return answer.ok ? answer.text() : "";
  }
  hasUnsent() {
    try { return localStorage.getItem(this.prefix + "unsent") !== null; } catch { return false; }
  }
}
