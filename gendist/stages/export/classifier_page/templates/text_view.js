const SHOWN_CLASSES = 8, SHOWN_WORDS = 8, SHOWN_UNREAD = 1000;
const EXPLAIN_AFTER = 250, SPEAK_AFTER = 700, SLICE = 20; // milliseconds
const NOTABLE_CHANGE = 0.0005; // shown as 0.1 points or more
const MARKED_SHARE = 1 / 20; // of the largest change

/** The part of the page for one text. */
class TextView {
  constructor(classifier) {
    this.classifier = classifier;
    this.showsAll = false;
    this.run = 0; // number of the current explanation; an older one stops
    this.field = document.getElementById("text");
    this.field.addEventListener("input", () => this.update());
    document.getElementById("all-classes").addEventListener("click", () => {
      this.showsAll = !this.showsAll;
      this.update();
    });
    this.field.disabled = false;
    this.update();
  }

  update() {
    const text = this.field.value, isEmpty = text.trim() === "";
    this.run++;
    clearTimeout(this.speaking);
    clearTimeout(this.explaining);
    document.getElementById("answer").hidden = isEmpty;
    document.getElementById("text-notes").textContent = "";
    document.getElementById("answer-spoken").textContent = "";
    if (isEmpty) return;
    const answer = this.classifier.classify(text), words = this.classifier.wordsRead(text);
    this.showNotes(text, answer, words);
    this.showClasses(answer);
    this.showText(text, words, []);
    document.getElementById("explanation").hidden = !answer.isKnown;
    if (answer.isKnown) this.explaining = setTimeout(() => this.explain(text, words, answer), EXPLAIN_AFTER);
    const notes = document.getElementById("text-notes").textContent;
    const spoken = `${this.classifier.labels[answer.best]}, ${percent(answer.probabilities[answer.best])} ${notes}`.trim();
    this.speaking = setTimeout(() => { document.getElementById("answer-spoken").textContent = spoken; }, SPEAK_AFTER);
  }

  showNotes(text, { isKnown }, words) {
    const notes = [];
    if (!isKnown) notes.push("The classifier knows no part of this text and answers as for an empty one.");
    if (wordPlaces(text).length > words.length)
      notes.push(`Only the first ${words.length} words were read: the classifier takes ${this.classifier.maxPieces} pieces of words.`);
    document.getElementById("text-notes").textContent = notes.join(" ");
  }

  showClasses({ probabilities, best }) {
    const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
    const shown = this.showsAll ? order : order.slice(0, SHOWN_CLASSES);
    document.getElementById("classes").replaceChildren(...shown.map((i) => {
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      bar.style.width = `${100 * probabilities[i]}%`;
      return element("tr", i === best ? { class: "best" } : {},
        element("th", { scope: "row", text: this.classifier.labels[i] }, bar),
        element("td", { class: "n", text: percent(probabilities[i]) }));
    }));
    const button = document.getElementById("all-classes");
    button.hidden = order.length <= SHOWN_CLASSES;
    button.textContent = this.showsAll ? "Show fewer classes" : `Show all ${order.length} classes`;
    button.setAttribute("aria-expanded", String(this.showsAll));
  }

  /** Classify without each word in turn, in slices of time, and show what changed. */
  async explain(text, words, { probabilities, best }) {
    const run = this.run, label = this.classifier.labels[best];
    const note = document.getElementById("explanation-note");
    document.getElementById("without-title").textContent = label;
    document.getElementById("words").replaceChildren();
    note.textContent = "Computing…";
    const found = [];
    let start = performance.now();
    for (const { start: from, end, without } of this.classifier.leaveOneOut(text, best, words)) {
      found.push({ from, end, without, change: without - probabilities[best] });
      if (performance.now() - start < SLICE) continue;
      await pause();
      if (run !== this.run) return;
      start = performance.now();
    }
    this.showText(text, words, found);
    this.showWords(text, found, probabilities[best]);
    note.textContent = `With all words, ${label} has ${percent(probabilities[best])}. `
      + "A solid line marks words without which it has less, a dashed line those without which it has more; "
      + "words with less than a twentieth of the largest change are not marked. "
      + "Each occurrence was left out alone: where several words say the same, none of them may change much.";
  }

  showText(text, words, found) {
    const strongest = Math.max(NOTABLE_CHANGE, ...found.map(({ change }) => Math.abs(change)));
    const parts = [];
    let at = 0;
    for (const { from, end, change } of found) {
      if (Math.abs(change) < Math.max(NOTABLE_CHANGE, strongest * MARKED_SHARE)) continue;
      const mark = element("mark", { class: change < 0 ? "raises" : "lowers", text: text.slice(from, end) });
      mark.style.setProperty("--strength", String(Math.abs(change) / strongest));
      parts.push(text.slice(at, from), mark);
      at = end;
    }
    const readEnd = words.length < wordPlaces(text).length ? words.at(-1)[1] : text.length;
    parts.push(text.slice(at, readEnd));
    const unread = text.slice(readEnd);
    const cut = unread.length > SHOWN_UNREAD ? `${unread.slice(0, SHOWN_UNREAD)}…` : unread;
    if (unread) parts.push(element("span", { class: "unread", text: cut, title: "not read" }));
    document.getElementById("marked-text").replaceChildren(...parts);
  }

  showWords(text, found, probability) {
    const rows = [...found].sort((a, b) => Math.abs(b.change) - Math.abs(a.change)).slice(0, SHOWN_WORDS)
      .filter(({ change }) => Math.abs(change) >= NOTABLE_CHANGE)
      .map(({ from, end, without, change }) => element("tr", {},
        element("th", { scope: "row", text: text.slice(from, end) }),
        element("td", { class: "n", text: percent(without) }),
        element("td", { class: "n", text: `${change < 0 ? "−" : "+"}${formatter.format(100 * Math.abs(change))}` })));
    if (!rows.length) rows.push(element("tr", {}, element("td", { colspan: "3", text: "No single word changes the probability by 0.1 points." })));
    document.getElementById("words").replaceChildren(...rows);
  }
}
