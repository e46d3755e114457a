/** The exported classifier: texts to calibrated probabilities, as gendist's TextClassifier computes them. */
class Classifier {
  constructor({ header, arrays }) {
    this.labels = header.labels;
    this.textColumns = header.textColumns;
    this.separator = header.separator;
    this.maxPieces = header.maxPieces;
    this.temperature = header.temperature;
    this.tokenizer = new Tokenizer(header.tokenizer, arrays, header.maxPieces);
    this.network = buildNetwork(header.architecture, arrays);
  }

  /** {probabilities, best, isKnown, isFull}; best is the index of the most probable class. */
  classify(text) {
    const { ids, isKnown, isFull } = this.tokenizer.encode(text);
    const probabilities = softmax(this.network(ids), this.temperature);
    return { probabilities, best: probabilities.indexOf(Math.max(...probabilities)), isKnown, isFull };
  }

  /**
   * Leave out each word in turn and classify again.
   *
   * Yields {start, end, without}: the place of a word in the text, and the probability of the target class without
   * it. Only this occurrence is left out; a space takes its place. `words` are those of `wordsRead`: others do not count.
   */
  *leaveOneOut(text, target, words) {
    for (const [start, end] of words) {
      const without = this.classify(`${text.slice(0, start)} ${text.slice(end)}`).probabilities[target];
      yield { start, end, without };
    }
  }

  /** Places of the words that are read, at least in part, before the maximum of pieces. */
  wordsRead(text) {
    const places = wordPlaces(text);
    let low = 0, high = places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tokenizer.encode(text.slice(0, places[middle][1])).isFull) high = middle;
      else low = middle + 1;
    }
    return places.slice(0, low + 1);
  }
}

function softmax(logits, temperature) {
  const scaled = Array.from(logits, (logit) => logit / temperature), largest = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Start and end of each word: text between spaces without punctuation around it; a Chinese character is a word. */
function wordPlaces(text) {
  const places = [];
  for (const { 0: found, index } of text.matchAll(/\p{Script=Han}|[^\s\p{Script=Han}]+/gu)) {
    let start = 0, end = found.length;
    while (start < end && /\p{P}/u.test(found[start])) start++;
    while (start < end && /\p{P}/u.test(found[end - 1])) end--;
    if (start < end) places.push([index + start, index + end]);
  }
  return places;
}

const formatter = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** A probability in percent. */
function percent(probability) {
  return `${formatter.format(100 * probability)} %`;
}

/** Create an element with text (never markup), attributes and children. */
function element(tag, { text, ...attributes } = {}, ...children) {
  const created = document.createElement(tag);
  if (text !== undefined) created.textContent = text;
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  created.append(...children);
  return created;
}

/** Let the browser draw and react. */
function pause() {
  return new Promise((resolve) => setTimeout(resolve));
}
