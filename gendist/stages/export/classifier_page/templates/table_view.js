const SHOWN_ROWS = 200, MAX_FILE_BYTES = 200e6, RESULT_COLUMNS = ["row", "label", "probability"];

/** The part of the page for a file or pasted rows. */
class TableView {
  constructor(classifier) {
    this.classifier = classifier;
    this.source = null; // {name, text, note}
    this.answers = [];
    this.run = 0; // number of the current classification; an older one stops
    this.get = (id) => document.getElementById(id);
    this.get("file").addEventListener("change", ({ target }) => target.files.length && this.readFile(target.files[0]));
    this.get("rows").addEventListener("input", ({ target }) => this.open("pasted rows", target.value, ""));
    this.get("delimiter").addEventListener("change", () => this.parse(null));
    this.get("header").addEventListener("change", () => this.showColumns());
    this.get("classify").addEventListener("click", () => this.classify());
    this.get("stop").addEventListener("click", () => this.stop());
    this.get("download").addEventListener("click", () => this.download());
    this.acceptDrops();
    this.get("file").disabled = this.get("rows").disabled = false;
  }

  acceptDrops() {
    const area = this.get("drop");
    // Beside the area too, or the browser would leave the page and open the file.
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (event.target instanceof HTMLTextAreaElement && !event.dataTransfer.files.length) return;
      event.preventDefault();
      area.classList.remove("over");
      if (event.dataTransfer.files.length) this.readFile(event.dataTransfer.files[0]);
    });
    area.addEventListener("dragenter", () => area.classList.add("over"));
    area.addEventListener("dragleave", (event) => area.contains(event.relatedTarget) || area.classList.remove("over"));
  }

  async readFile(file) {
    this.close();
    try {
      if (file.size > MAX_FILE_BYTES) throw new Error("it is larger than 200 MB; use gendist predict");
      const { text, note } = decodeFile(new Uint8Array(await file.arrayBuffer()));
      this.get("rows").value = "";
      this.open(file.name, text, note);
    } catch (error) {
      this.showProblem(`${file.name} cannot be read: ${error.message}.`);
    }
  }

  close() {
    this.run++;
    this.source = null;
    this.answers = [];
    for (const id of ["options", "answers", "progress-line", "stop"]) this.get(id).hidden = true;
    this.get("classify").disabled = false;
    this.get("table-status").textContent = "";
    this.showProblem("");
  }

  open(name, text, note) {
    this.close();
    if (text.trim() === "") {
      if (name !== "pasted rows") this.showProblem(`${name} has no rows.`);
      return;
    }
    this.source = { name, text, note };
    const delimiter = /\.txt$/i.test(name) ? "" : detectDelimiter(text, this.classifier.textColumns);
    this.get("delimiter").value = delimiter;
    this.get("options").hidden = false;
    this.parse(/\.csv$|\.ts?v$|\.tab$/i.test(name) && delimiter === "" ? true : null);
  }

  /** Parse the source with the chosen delimiter; `isHeader` of a file with one column is true for .csv. */
  parse(isHeader) {
    this.forgetAnswers();
    this.showProblem("");
    const delimiter = this.get("delimiter").value;
    try {
      const { records, note } = parseTable(this.source.text, delimiter);
      this.records = records;
      this.parseNote = note;
    } catch (error) {
      this.records = [];
      this.showProblem(`${this.source.name}: ${error.message}. Check what separates the columns.`);
    }
    const isNamed = this.records.length > 0 && detectHeader(this.records, this.classifier.textColumns);
    const isOne = this.classifier.textColumns.length === 1 && this.records[0]?.cells[0].trim() === this.classifier.textColumns[0];
    this.get("header").checked = delimiter === "" ? isOne || (isHeader === true && isNamed) : isNamed;
    this.showColumns();
  }

  /** Offer the columns; those of the training texts are chosen, else the one with the longest texts. */
  showColumns() {
    this.forgetAnswers();
    const hasHeader = this.get("header").checked, first = this.records[0]?.cells ?? [];
    this.names = hasHeader ? first : first.map((_, i) => String(i + 1));
    this.rows = hasHeader ? this.records.slice(1) : this.records;
    const wanted = this.classifier.textColumns, isKnown = wanted.every((name) => this.names.includes(name));
    const sizes = this.names.map((_, i) => this.rows.slice(0, 100).reduce((sum, { cells }) => sum + cells[i].length, 0));
    const longest = sizes.indexOf(Math.max(...sizes));
    const chosen = isKnown ? wanted.map((name) => this.names.indexOf(name)) : [longest];
    this.get("columns").replaceChildren(this.get("columns").firstElementChild, ...this.names.map((name, i) => {
      const box = element("input", { type: "checkbox", id: `column-${i}`, value: String(i) });
      box.checked = chosen.includes(i);
      box.addEventListener("change", () => this.forgetAnswers());
      return element("p", { class: "check" }, box, element("label", { for: `column-${i}`, text: name || `(column ${i + 1})` }));
    }));
    this.get("columns").hidden = this.names.length < 2;
    const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
    this.get("source-summary").textContent = [
      `${this.source.name}: ${count(this.rows.length, "row")}, ${count(this.names.length, "column")}.`,
      this.source.note, this.parseNote,
    ].filter(Boolean).join(" ");
    this.get("classify").disabled = this.rows.length === 0;
  }

  /** Answers to other columns or rows are not shown. */
  forgetAnswers() {
    this.run++;
    this.answers = [];
    for (const id of ["answers", "progress-line", "stop"]) this.get(id).hidden = true;
    this.get("table-status").textContent = "";
    this.get("classify").disabled = false;
  }

  chosenColumns() {
    return [...this.get("columns").querySelectorAll("input:checked")].map((box) => Number(box.value));
  }

  /** The text of a row: the stripped cells of its text columns, joined as in training. */
  rowText(cells, columns) {
    const parts = columns.map((column) => this.classifier.tokenizer.trim(cells[column]));
    return parts.filter((part) => part !== "").join(this.classifier.separator);
  }

  async classify() {
    this.forgetAnswers();
    const run = this.run, rows = this.rows, columns = this.orderedColumns();
    if (!columns.length) {
      this.showProblem("Choose at least one column of the text.");
      return;
    }
    this.showProblem("");
    this.get("classify").disabled = true;
    this.get("progress-line").hidden = this.get("stop").hidden = false;
    let shown = performance.now();
    for (const [i, { cells }] of rows.entries()) {
      this.answers.push(this.classifier.classify(this.rowText(cells, columns)));
      if (performance.now() - shown < 2 * SLICE) continue;
      this.get("progress").value = (i + 1) / rows.length;
      await pause();
      if (run !== this.run) return;
      shown = performance.now();
    }
    this.get("progress-line").hidden = this.get("stop").hidden = true;
    this.get("classify").disabled = false;
    this.showAnswers(columns);
  }

  /** Chosen columns, those of the training texts in their order. */
  orderedColumns() {
    const place = (column) => {
      const index = this.classifier.textColumns.indexOf(this.names[column]);
      return index < 0 ? Infinity : index;
    };
    return this.chosenColumns().sort((a, b) => (place(a) === place(b) ? a - b : place(a) - place(b)));
  }

  stop() {
    const done = this.answers.length;
    this.forgetAnswers();
    this.get("table-status").textContent = `Stopped after ${done.toLocaleString("en")} rows.`;
    this.get("classify").focus();
  }

  showAnswers(columns) {
    const { labels } = this.classifier, counts = new Map();
    for (const { best } of this.answers) counts.set(best, (counts.get(best) ?? 0) + 1);
    this.get("counts").replaceChildren(...[...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([best, n]) => {
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      bar.style.width = `${(100 * n) / this.answers.length}%`;
      return element("tr", {}, element("th", { scope: "row", text: labels[best] }, bar), element("td", { class: "n", text: n.toLocaleString("en") }));
    }));
    this.get("answer-rows").replaceChildren(...this.answers.slice(0, SHOWN_ROWS).map(({ probabilities, best }, i) => element("tr", {},
      element("td", { class: "n", text: String(i) }),
      element("td", {}, element("span", { class: "clamp", dir: "auto", text: this.rowText(this.rows[i].cells, columns).slice(0, 400) })),
      element("td", { text: labels[best] }),
      element("td", { class: "n", text: percent(probabilities[best]) }))));
    const all = this.answers.length, part = all > SHOWN_ROWS ? `; the table shows the first ${SHOWN_ROWS}` : "";
    this.get("table-status").textContent = `${all.toLocaleString("en")} rows classified${part}.`;
    this.get("answers").hidden = false;
  }

  /** The answers as CSV, with the columns of gendist predict. */
  csv() {
    const { labels } = this.classifier, isGuarded = this.get("guard").checked;
    const added = this.get("every-class").checked ? labels.map((label) => `probability_${label}`) : [];
    const kept = [];
    for (let name of this.get("keep").checked ? this.names : []) {
      while ([...RESULT_COLUMNS, ...added, ...kept].includes(name)) name = `input_${name}`;
      kept.push(name);
    }
    const lines = [csvLine(["row", ...kept, "label", "probability", ...added], isGuarded)];
    this.answers.forEach(({ probabilities, best }, i) => {
      const cells = kept.length ? this.rows[i].cells : [], digits = (value) => String(Number(value.toFixed(6)));
      lines.push(csvLine([String(i), ...cells, labels[best], digits(probabilities[best]),
        ...(added.length ? probabilities.map(digits) : [])], isGuarded));
    });
    return lines.join("");
  }

  download() {
    // With a byte-order mark, by which spreadsheets recognise UTF-8.
    const url = URL.createObjectURL(new Blob(["\uFEFF", this.csv()], { type: "text/csv;charset=utf-8" }));
    const stem = this.source.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_-]+/gu, "-");
    element("a", { href: url, download: `${stem}-labels.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  showProblem(message) {
    this.get("table-problem").textContent = message;
  }
}
