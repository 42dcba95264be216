// Views of one sample: its row in the list, and its details when it is chosen.

// What the numbers of a sample are, shown where the pointer rests.
const MEANINGS = {
  "error": "mean loss of the models that never saw it, and its standard error",
  "bias": "the error that the models share",
  "variance": "the error that comes from their disagreement; bias and variance add up to the error",
  "p of label": "probability that the models give the label",
  "p wrong": "probability that the label is wrong",
  "p outlier": "probability that the target is further off than noise explains",
  "p strange": "probability that it is unlike the rest, hard or not",
  "hardness": "a score to rank by: error, P(label wrong), rarity of the class and unusual features in one number",
  "views": "number of models that never saw it and predicted it",
};

// The ledger as a bar: negative terms are stacked to the left of the zero line. Bars of one page share the scale.
class Ledger {
  constructor(columns) {
    this.terms = about.factors.map((name) => columns[name]);
    this.low = this.high = 0;
    for (let i = 0; i < about.n && this.terms.length; i++) {
      let left = 0, right = 0;
      for (const line of this.terms) if (line[i] < 0) left += line[i]; else right += line[i];
      if (left < this.low) this.low = left;
      if (right > this.high) this.high = right;
    }
  }
  // A term; nothing if it is less than a thousandth of all.
  amount(i, at) {
    const all = this.terms.reduce((sum, line) => sum + Math.abs(line[i]), 0), value = this.terms[at][i];
    return Math.abs(value) < all / 1000 ? "0" : number(value, 2);
  }
  bar(i, own = false) {
    const amounts = this.terms.map((line) => line[i]);
    const low = own ? amounts.reduce((sum, v) => sum + Math.min(v, 0), 0) : this.low;
    const high = own ? amounts.reduce((sum, v) => sum + Math.max(v, 0), 0) : this.high;
    const unit = 100 / Math.max(high - low, 1e-9);
    const words = about.factors.map((name, at) => `${name} ${this.amount(i, at)}`).join(", ");
    const bar = makeSvg("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": `Factors: ${words}` });
    let left = 0, right = 0;
    amounts.forEach((amount, at) => {
      if (amount < 0) left += amount;
      const start = amount < 0 ? left : right;
      right += Math.max(amount, 0);
      bar.append(makeSvg("rect", { class: about.factors[at], x: (start - low) * unit, y: 0, width: Math.abs(amount) * unit, height: 8 }));
    });
    bar.append(makeSvg("line", { x1: -low * unit, x2: -low * unit, y1: -1, y2: 9, "vector-effect": "non-scaling-stroke" }));
    return bar;
  }
}

const COPIES_SHOWN = 24;

const badge = (decision) => decision
  ? make("span", { class: `badge ${decision.action}` }, decision.action === "relabel" ? `→ ${labelText(decision.label)}` : decision.action)
  : null;

class Views {
  constructor(columns, decisions, source) {
    Object.assign(this, { columns, decisions, source, ledger: new Ledger(columns) });
    this.reasonAt = new Map(Array.from(columns.reason_of, (row, at) => [row, at]));
    this.reasons = new Pieces(columns, "reasons");
    this.nearAt = columns.near_at && new Map(Array.from(columns.near_at, (row, at) => [row, at]));
  }
  name(i) { return oneLine(this.columns.idTexts.text(i), 120); }
  // The sentence on why a sample is hard; empty if the page does not hold it.
  reason(i) {
    const at = this.reasonAt.get(i);
    return at === undefined ? "" : oneLine(this.reasons.text(at), 1000);
  }
  // What a row of the list shows of a sample: its image or text, but of a table its sentence, because rows of numbers look alike.
  preview(shown, i) {
    if (this.columns.parts?.inline) return this.columns.parts.miniature(i);
    const reason = this.reason(i);
    return reason && (!shown || shown.kind === "table") ? make("span", { class: "mini words" }, reason) : miniature(shown, "");
  }
  alt(i) {
    const { label, predicted, parts } = this.columns;
    return `${capital(about.nouns.row)} ${this.name(i)}` + (parts ? `, ${parts.text(i)}` : "") + (label ? `, ${about.labelName} ${labelText(label[i])}, predicted ${labelText(predicted[i])}` : "");
  }
  verdict(i) {
    const { label, predicted, cause } = this.columns;
    const missed = about.classes && label[i] !== predicted[i];
    return make("span", { class: "verdict" },
      cause ? make("i", { class: `swatch ${about.causes[cause[i]]}`, title: about.causes[cause[i]] }) : null,
      label ? make("b", {}, make("bdi", {}, labelText(label[i]))) : null,
      label && (missed || !about.classes) ? make("span", { class: "missed" }, " ", make("small", {}, "vs "), make("bdi", {}, labelText(predicted[i]))) : null);
  }
  row(i, at, all) {
    const { error, p_wrong, p_outlier } = this.columns, doubt = p_wrong ?? p_outlier;
    const place = make("span", { class: "place" });
    this.source.sample(i).then((shown) => place.replaceChildren(this.preview(shown, i)), () => {});
    return make("div", {
      role: "option", id: `row-${i}`, class: "row", title: this.reason(i) || null, "data-at": at, "aria-setsize": all, "aria-posinset": at + 1,
      "aria-label": `${this.alt(i)}, error ${number(error[i], 2)}` + (doubt ? `, ${p_wrong ? "p wrong" : "p outlier"} ${chance(doubt[i])}` : "")
        + (this.decisions.get(i) ? `, decided: ${badge(this.decisions.get(i)).textContent}` : ""),
    }, place, make("span", { class: "facts" },
      make("span", { class: "first" }, this.verdict(i), badge(this.decisions.get(i))),
      make("span", { class: "second" }, make("bdi", { class: "id" }, this.name(i)),
        make("span", { title: "error" }, shortNumber(error[i])), this.copyNote(i),
        doubt ? make("span", { class: "doubt", title: p_wrong ? "P(label wrong)" : "P(outlier)" }, `p ${chance(doubt[i])}`) : null),
      this.ledger.terms.length ? this.ledger.bar(i) : null));
  }
  copyNote(i) {
    const { copies } = this.columns;
    if (!copies?.has(i)) return null;
    const size = grouped(copies.of(i).length + 1), words = copies.contradicts(i) ? "with different labels" : "with the same label";
    return make("span", { class: `size${copies.contradicts(i) ? " missed" : ""}`, title: `one of ${size} copies ${words}` }, `×${size}`);
  }
  facts(i) {
    const c = this.columns;
    const pairs = [
      ["error", c.error, c.error_se], ["bias", c.bias], ["variance", c.variance], ["p of label", c.p_label],
      ["p wrong", c.p_wrong], ["p outlier", c.p_outlier], ["p strange", c.p_strange], ["hardness", c.hardness], ["views", c.views],
    ].filter(([, values]) => values);
    return make("dl", { class: "facts" }, ...pairs.map(([name, values, spread]) =>
      make("div", { title: MEANINGS[name] }, make("dt", {}, name), make("dd", {}, name.startsWith("p ") ? chance(values[i]) : score(values[i]), spread && !Number.isNaN(spread[i])
        ? make("span", { class: "se" }, ` ± ${score(spread[i], 2)}`) : null))),
      c.cause ? make("div", {}, make("dt", {}, "cause"), make("dd", {}, make("i", { class: `swatch ${about.causes[c.cause[i]]}` }), about.causes[c.cause[i]])) : null);
  }
  ledgerSection(i) {
    if (!this.ledger.terms.length) return null;
    return make("section", { "aria-label": "Ledger" }, make("h3", {}, `What makes the error of ${score(this.columns.error[i])}`),
      this.ledger.bar(i, true),
      make("ul", { class: "legend" }, ...about.factors.map((name, at) =>
        make("li", {}, make("i", { class: `swatch ${name}` }), `${name} ${this.ledger.amount(i, at)}`))));
  }
  predictions(i) {
    const { top, top_p, label, suggested, p_suggested, views } = this.columns;
    if (!top) return null;
    const rows = Array.from({ length: about.topClasses }, (_, k) => [top[i * about.topClasses + k], top_p[i * about.topClasses + k]]).filter(([, p], k) => k < 2 || p >= 0.005);
    if (!rows.some(([code]) => code === label[i])) rows.push([label[i], this.columns.p_label[i]]);
    return make("section", { "aria-label": "What the models say" }, make("h3", {}, `What ${plural(views[i], "held-out view")} say`),
      make("ul", { class: "says" }, ...rows.map(([code, p]) => {
        const bar = make("i", { class: "share", "aria-hidden": "true" });
        bar.style.width = `${100 * p}%`;
        const notes = [code === label[i] ? "given" : "", suggested && code === suggested[i] && code !== label[i] ? `suggested, p ${chance(p_suggested[i])}` : ""].filter(Boolean);
        return make("li", {}, make("span", { class: "class" }, make("bdi", {}, labelText(code)), notes.length ? make("small", {}, ` ${notes.join(", ")}`) : null),
          make("span", { class: "track", "aria-hidden": "true" }, bar), make("span", { class: "n" }, percent(p)));
      })));
  }
  async neighbours(i) {
    let rows = await this.source.nearest(i);
    const at = this.nearAt?.get(i);
    if (!rows && at !== undefined) {
      const { near } = this.columns, wide = near.length / this.columns.near_at.length;
      rows = [...near.subarray(at * wide, (at + 1) * wide)];
    }
    rows = (rows ?? []).filter((row) => row >= 0);
    if (!rows.length) return null;
    return this.tiles("Nearest neighbours", i, rows);
  }
  copies(i) {
    const rows = this.columns.copies?.of(i) ?? [];
    if (!rows.length) return null;
    const more = rows.length > COPIES_SHOWN ? `, ${COPIES_SHOWN} of them shown` : "";
    return this.tiles(`${plural(rows.length, `other ${about.nouns.row}`, `other ${about.nouns.rows}`)} of this set of copies${more}`, i, rows.slice(0, COPIES_SHOWN));
  }
  tiles(title, i, rows) {
    const reason = this.reason(i);
    const tiles = rows.map((row) => {
      const place = make("span", { class: "place" });
      this.source.sample(row).then((shown) => place.replaceChildren(this.columns.parts?.inline ? this.columns.parts.miniature(row) : miniature(shown, "", reason)), () => {});
      const other = about.classes && this.columns.label[row] !== this.columns.label[i];
      return make("li", {}, make("button", { type: "button", class: "tile", "data-row": row, "aria-label": this.alt(row) }, place,
        make("span", { class: other ? "other" : "" }, make("bdi", {}, this.columns.label ? labelText(this.columns.label[row]) : this.name(row)))));
    });
    return make("section", { "aria-label": title }, make("h3", {}, title), make("ul", { class: "near" }, ...tiles));
  }
  async chosen(i) {
    const { label, predicted, suggested, p_suggested, parts } = this.columns;
    const [shown, near] = await Promise.all([this.source.sample(i).catch(() => null), this.neighbours(i).catch(() => null)]);
    const said = label ? make("p", { class: "said" },
      make("span", {}, `${oneLine(about.labelName, 40)} `, make("b", {}, make("bdi", {}, labelText(label[i])))),
      make("span", { class: about.classes && label[i] !== predicted[i] ? "missed" : "" }, "predicted ", make("b", {}, make("bdi", {}, labelText(predicted[i])))),
      suggested && suggested[i] !== label[i] ? make("span", {}, "suggested ", make("b", {}, make("bdi", {}, labelText(suggested[i]))), ` p ${chance(p_suggested[i])}`) : null,
      badge(this.decisions.get(i))) : badge(this.decisions.get(i));
    return [
      make("h2", { id: "chosen" }, parts?.inline ? make("bdi", { class: "word" }, parts.text(i)) : null, " ", make("bdi", { class: "id" }, ...breakable(this.name(i)))), said,
      this.reason(i) ? make("p", { class: "why" }, make("bdi", {}, this.reason(i))) : null, parts?.section(i),
      make("div", { class: "shown", "data-kind": shown?.kind ?? "none" }, parts?.inline || (parts && !shown) ? null : fullView(shown, this.alt(i)), make("div", { class: "reading" }, this.facts(i), this.ledgerSection(i), this.predictions(i))),
      this.copies(i), near,
    ].filter(Boolean);
  }
}
