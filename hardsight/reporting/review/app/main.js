// The application: filters change the list, the keyboard chooses samples and decides.

const NAMES = { p_wrong: "P(label wrong)", p_outlier: "P(outlier)", p_strange: "P(strange)", copies: "sets of copies", parts: `wrong labels per ${about.nouns.sample}`, given: "order given" };

function alarm(text) {
  const place = byId("alarm");
  if (place.textContent === text) return;
  place.textContent = text;
  place.hidden = !text;
}

const labelOptions = () => about.classes.map((name, code) => make("option", { value: code }, labelText(code)));

// A field for a label: chosen among the classes, or typed as a number.
function labelField(id, called) {
  if (about.classes) return make("select", { id, "aria-label": called }, ...labelOptions());
  return make("input", { id, type: "number", step: "any", "aria-label": called });
}

async function start() {
  readTheme();
  const columns = await unpackArrays("columns", about.columns);
  columns.idTexts = new Pieces(columns, "ids");
  if (columns.sample_of) columns.parts = new Parts(columns);
  if (columns.copy_set) columns.copies = new Copies(columns.copy_set, columns.label);
  let source = about.served ? new ServerSource() : new EmptySource();
  const currentSource = { sample: (i) => source.sample(i), search: (t, f) => source.search(t, f), nearest: (i) => source.nearest(i) };
  const keeper = about.served ? new ServedKeeper(alarm, () => decisions.csv()) : new Keeper(alarm);
  const decisions = new Decisions(columns.idTexts, columns.label, keeper, (rows) => app.decided(rows));
  decisions.probability = columns.p_wrong && columns.p_suggested && ((row, label) => probabilityCells(columns, row, label));
  const filters = new Filters(columns, decisions, currentSource);
  const app = new App(columns, decisions, filters, new Views(columns, decisions, currentSource));
  await restore(decisions, keeper);
  app.begin();
  document.querySelector("main").setAttribute("aria-busy", "false");
  document.documentElement.dataset.ready = "1";
  performance.mark("ready");
  if (about.contents) {
    source = new EmbeddedSource(await unpackArrays("contents", about.contents.directory), columns.place);
    app.sourceCame();
  }
  document.documentElement.dataset.complete = "1";
  performance.mark("complete");
  addEventListener("storage", (event) => {
    const change = keeper.parseEvent(event);
    if (change) { decisions.set(...change); app.decided([change[0]]); }
  });
  addEventListener("beforeunload", (event) => { if (keeper.lost) event.preventDefault(); });
}

// Cells of P(label wrong), and of P(suggested) if the label is changed to the suggested one.
function probabilityCells({ p_wrong, suggested, p_suggested }, row, label) {
  return [p_wrong[row].toFixed(4), label !== undefined && label === suggested[row] ? p_suggested[row].toFixed(4) : ""];
}

async function restore(decisions, keeper) {
  const { found, steps } = keeper.readStored();
  [decisions.past, decisions.future] = steps;
  if (!about.served) { for (const [row, decision] of found) decisions.set(row, decision); return; }
  if (keeper.hasUnsent()) {
    for (const [row, decision] of found) decisions.set(row, decision);
    keeper.send();
    return;
  }
  const text = await keeper.fetchDecisions();
  try {
    if (text) for (const [row, , after] of decisions.read(text)) decisions.set(row, after);
    keeper.replaceStored(decisions.byRow);
  } catch (fault) { alarm(`decisions.csv cannot be read: ${fault.message}.`); }
}

function describeOrder(name) {
  if (name === "given") return "In the order given.";
  if (name === "parts") return `${capital(about.nouns.samples)} with the most ${about.lossOnly ? "error" : "doubt"} first.`;
  const first = name === "copies" ? "Copies with different labels first, then large sets" : `Highest ${NAMES[name] ?? name} first`;
  return name === "error" ? `${first}.` : `${first}; ties by error.`;
}

class App {
  constructor(columns, decisions, filters, views) {
    Object.assign(this, { columns, decisions, filters, views, chosen: -1, drawing: 0 });
    this.list = new List(byId("list"), byId("rows"), (i, at, all) => views.row(i, at, all), (i) => this.choose(i));
    this.plots = [];
  }
  begin() {
    const { columns, filters } = this, refilter = () => this.filter();
    if (columns.bias && columns.variance) {
      this.map = new BiasVariance(columns, filters, refilter, (i) => this.choose(i));
      byId("plots").append(this.map.place);
    }
    const histograms = [["error", about.loss ? `Error (${about.loss})` : "Error", root], ["p_wrong", "P(label wrong)", linear, [0, 1]], ["p_outlier", "P(outlier)", linear, [0, 1]], ["p_strange", "P(strange)", linear, [0, 1]]];
    for (const [name, title, shape, range] of histograms) {
      if (!columns[name]) continue;
      const plot = new Histogram(name, title, columns, filters, shape, range ?? [0, extent(columns[name])[1]], refilter);
      this.plots.push(plot);
      byId("plots").append(plot.place);
    }
    if (about.maps.length) {
      this.mapPanel = new MapPanel(this);
      byId("plots").prepend(this.mapPanel.place);
    }
    this.fillChoices();
    this.together = new Together(this);
    this.listen();
    this.follow(new URLSearchParams(location.hash.slice(1)));
    this.fold(matchMedia("(max-width: 56rem)").matches);
    this.filter();
    this.choose(this.linked ?? this.list.rows[0] ?? -1);
    this.progress();
  }
  // Lists the parts of one sample alone, in the order given.
  listSample(name) {
    byId("sample").value = this.filters.sample = name;
    byId("order").value = "given";
    this.filter();
  }
  // A link may name an order, a cause, a sample whose parts are listed, and a row: #order=p_wrong, #cause=strange, #sample=12, #id=7.
  follow(wanted) {
    if (wanted.has("sample") && byId("sample")) byId("sample").value = this.filters.sample = wanted.get("sample");
    if (wanted.has("id")) this.linked = this.decisions.rowOf(wanted.get("id"));
    const order = wanted.get("order"), cause = about.causes.indexOf(wanted.get("cause"));
    if ([...byId("order").options].some((option) => option.value === order)) byId("order").value = order;
    if (cause < 0) return;
    this.filters.causes = new Set([cause]);
    for (const box of byId("causes").querySelectorAll("input")) box.checked = Number(box.value) === cause;
  }
  fillChoices() {
    const { columns } = this;
    // The first is the order in which the page opens.
    const orders = ["p_wrong", "p_outlier", "error", "hardness", "p_strange", ...about.factors, "bias", "variance", "copies", "parts"].filter((name) => columns[name]);
    byId("order").append(...[...orders, "given"].map((name) => make("option", { value: name }, NAMES[name] ?? name)));
    if (about.classes) byId("label")?.append(...labelOptions());
    else byId("by-label")?.remove();
    byId("target")?.append(labelField("to", "New label"));
  }
  listen() {
    const on = (id, event, act) => byId(id)?.addEventListener(event, act);
    on("search", "input", (event) => {
      clearTimeout(this.typing);
      const { value } = event.target;
      this.typing = setTimeout(async () => { await this.filters.search(value); this.filter(); }, 120);
    });
    on("label", "change", (event) => { this.filters.label = event.target.value === "" ? null : Number(event.target.value); this.filter(); });
    on("sample", "input", (event) => { this.filters.sample = event.target.value.trim(); this.filter(); });
    on("decided", "change", (event) => { this.filters.decided = event.target.value; this.filter(); });
    on("copies", "change", (event) => { this.filters.copies = event.target.value; this.filter(); });
    on("causes", "change", () => {
      this.filters.causes = new Set([...byId("causes").querySelectorAll("input:checked")].map((box) => Number(box.value)));
      this.filter();
    });
    on("order", "change", () => { this.filter(); this.choose(this.list.rows[0] ?? -1); });
    on("clear", "click", () => this.clear());
    on("fold", "click", () => this.fold(byId("fold").getAttribute("aria-expanded") === "true"));
    on("undo", "click", () => this.undoOrRedo("undo"));
    on("redo", "click", () => this.undoOrRedo("redo"));
    on("export", "click", () => this.export());
    on("import", "click", () => byId("file").click());
    on("file", "change", (event) => this.import(event.target));
    on("all", "click", () => this.together.open());
    on("help", "click", () => byId("keys").showModal());
    on("relabel", "click", () => this.relabel());
    on("to", "keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); this.relabel(); byId("list").focus(); } });
    on("suggest", "click", () => this.suggest());
    on("previous", "click", () => this.move(-1));
    on("next", "click", () => this.move(1));
    for (const button of document.querySelectorAll("[data-action]"))
      button.addEventListener("click", () => this.decide(button.dataset.action ? { action: button.dataset.action } : undefined));
    on("detail", "click", (event) => {
      const tile = event.target.closest("[data-row]");
      if (tile) this.choose(Number(tile.dataset.row));
      const sample = event.target.closest("[data-sample]");
      if (sample) this.listSample(sample.dataset.sample);
    });
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readTheme(); this.map?.repaint(); this.mapPanel?.repaint(); for (const plot of this.plots) plot.draw(); });
  }
  fold(folded) {
    byId("fold").setAttribute("aria-expanded", String(!folded));
    byId("folded").hidden = folded;
  }
  clear() {
    this.filters.clear();
    for (const id of ["search", "label", "sample", "decided", "copies"]) if (byId(id)) byId(id).value = "";
    for (const box of byId("causes")?.querySelectorAll("input") ?? []) box.checked = true;
    this.filter();
  }
  filter() {
    const mask = this.filters.mask();
    const order = byId("order").value, rows = this.filters.rows(mask, order);
    byId("ordered").textContent = describeOrder(order);
    this.list.show(rows);
    this.map?.update(rows);
    this.mapPanel?.update(rows);
    for (const plot of this.plots) plot.update(mask);
    byId("count").textContent = `${grouped(rows.length)} of ${countRows(about.n)}`;
    if (rows.length && this.list.at() < 0) this.choose(rows[0]);
    else if (rows.length) this.list.select(this.chosen);
  }
  async choose(i) {
    if (i < 0) return;
    this.chosen = i;
    this.list.select(i);
    if (this.map) { this.map.chosen = i; this.map.draw(); }
    if (this.mapPanel) this.mapPanel.chosen = i;
    this.offer(i);
    const request = ++this.drawing;
    const parts = await this.views.chosen(i);
    if (request === this.drawing) { byId("detail").replaceChildren(...parts); if (this.shown !== i) byId("detail").scrollTop = 0; this.shown = i; }
  }
  // Shows the label that relabelling would give, and the button for the suggested label.
  offer(i) {
    const { label } = this.columns;
    if (!label) return;
    const likely = this.likely(i), decision = this.decisions.get(i);
    byId("to").value = decision?.action === "relabel" ? decision.label : about.classes ? likely : "";
    byId("suggest").hidden = likely === label[i];
    const { suggested, p_suggested } = this.columns;
    byId("suggest").lastElementChild.textContent = `relabel to ${labelText(likely)}${suggested && p_suggested ? ` (p ${chance(p_suggested[i])})` : ""}`;
    for (const button of document.querySelectorAll("[data-action]"))
      if (button.dataset.action) button.setAttribute("aria-pressed", String(decision?.action === button.dataset.action));
  }
  likely(i) {
    const { label, suggested, predicted } = this.columns;
    return suggested ? suggested[i] : about.classes ? predicted[i] : label[i];
  }
  move(by) {
    const { rows } = this.list;
    if (!rows.length) return;
    this.choose(rows[Math.min(rows.length - 1, Math.max(0, this.list.at() + by))]);
  }
  decide(decision) {
    if (this.chosen < 0) return;
    const at = this.list.at(), row = this.chosen, next = at >= 0 ? this.list.rows[at + 1] : undefined;
    this.decisions.decide(row, decision);
    byId("said").textContent = `${this.views.name(row)}: ${decision ? badge(decision).textContent : "no decision"}`;
    if (decision && next !== undefined && byId("advance").checked) this.choose(next);
  }
  relabel() {
    const { value } = byId("to"), label = Number(value);
    if (value === "" || !Number.isFinite(label)) { byId("to").focus(); return; }
    this.decide(label === this.columns.label[this.chosen] ? { action: "keep" } : { action: "relabel", label });
  }
  suggest() {
    if (!this.columns.label || byId("suggest").hidden) return;
    this.decide({ action: "relabel", label: this.likely(this.chosen) });
  }
  undoOrRedo(which) {
    const changes = this.decisions[which]();
    if (!changes) return;
    byId("said").textContent = `${which === "undo" ? "Undone" : "Redone"}: ${plural(changes.length, "decision")}`;
    this.choose(changes[0][0]);
  }
  decided(rows) {
    this.progress();
    if (this.filters.decided) this.filter();
    else this.list.redraw();
    if (rows.includes(this.chosen)) this.choose(this.chosen);
  }
  sourceCame() {
    this.list.redraw();
    this.choose(this.chosen);
    if (this.filters.text) this.filters.search(this.filters.text).then(() => this.filter());
  }
  progress() {
    const counts = this.decisions.counts(), all = this.decisions.byRow.size;
    const parts = ACTIONS.filter((action) => counts[action]).map((action) => `${grouped(counts[action])} ${action}`);
    byId("progress").textContent = all ? `${grouped(all)} of ${grouped(about.n)} decided: ${parts.join(", ")}` : `${countRows(about.n)}, none decided yet`;
    byId("undo").disabled = !this.decisions.past.length;
    byId("redo").disabled = !this.decisions.future.length;
  }
  export() {
    const url = URL.createObjectURL(new Blob([this.decisions.csv()], { type: "text/csv" }));
    make("a", { href: url, download: "decisions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    byId("said").textContent = `Exported ${plural(this.decisions.byRow.size, "decision")}`;
  }
  async import(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      const changes = this.decisions.read(await file.text());
      alarm("");
      this.decisions.step(changes);
      byId("said").textContent = `Imported ${plural(changes.length, "decision")}`;
    } catch (fault) {
      alarm(`${oneLine(file.name, 60)} was not imported: ${fault.message}.`);
    }
  }
  key(event) {
    if (event.ctrlKey && event.key.toLowerCase() === "z") { event.preventDefault(); this.undoOrRedo(event.shiftKey ? "redo" : "undo"); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape" && typing) { byId("list").focus(); return; }
    if (typing) return;
    const inList = event.target === byId("list") || event.target === document.body;
    const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (inList && sideways && this.columns.parts) { event.preventDefault(); this.choose(this.columns.parts.step(this.chosen, sideways) ?? -1); return; }
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: this.list.page(), PageUp: -this.list.page(), Home: -Infinity, End: Infinity };
    if (inList && event.key in steps) { event.preventDefault(); this.move(steps[event.key]); return; }
    if (!byId("single").checked) return;
    const act = this.commands()[event.key.toLowerCase()];
    if (act) { event.preventDefault(); act(); }
  }
  commands() {
    return {
      j: () => this.move(1), p: () => this.move(-1),
      k: () => this.decide({ action: "keep" }), d: () => this.decide({ action: "drop" }), u: () => this.decide({ action: "unsure" }),
      a: () => this.together.open(),
      c: () => this.decide(undefined), s: () => this.suggest(), r: () => byId("to")?.focus(),
      z: () => this.undoOrRedo("undo"), y: () => this.undoOrRedo("redo"), e: () => this.export(),
      "/": () => { this.fold(false); byId("search").focus(); }, "?": () => byId("keys").showModal(),
    };
  }
}

start().catch((fault) => {
  alarm(`This page could not be displayed: ${fault.message}`);
  console.error(fault);
});
