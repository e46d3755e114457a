const UNPAIRED_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;
const MAX_CACHED_WORDS = 50000, MAX_CACHED_LENGTH = 100;
const POSITIONS = 2 ** 28; // more than the characters of a word

/** A binary heap of numbers. */
class NumberQueue {
  constructor() { this.heap = []; }

  get size() { return this.heap.length; }

  add(number) {
    const heap = this.heap;
    let i = heap.length;
    for (; i > 0 && heap[(i - 1) >> 1] > number; i = (i - 1) >> 1) heap[i] = heap[(i - 1) >> 1];
    heap[i] = number;
  }

  takeSmallest() {
    const heap = this.heap, smallest = heap[0], last = heap.pop();
    for (let i = 0; heap.length;) {
      let child = 2 * i + 1;
      if (child + 1 < heap.length && heap[child + 1] < heap[child]) child++;
      if (child >= heap.length || heap[child] >= last) {
        heap[i] = last;
        break;
      }
      heap[i] = heap[child];
      i = child;
    }
    return smallest;
  }
}

/** The tokenizer of the exported model: texts to piece ids, truncated. */
class Tokenizer {
  constructor(settings, arrays, maxPieces) {
    Object.assign(this, settings);
    this.maxPieces = maxPieces;
    this.runs = arrays.characters.data;
    this.mapped = new Map();
    this.cache = new Map();
    this.ids = new Map();
    this.pieces.forEach((piece, id) => { if (piece !== null) this.ids.set(piece, id); });
    if (arrays.merges) this.readMerges(arrays.merges.data);
    this.stripped = new Set(this.strip);
    // The leftmost and longest added token, as the tokenizers library finds it.
    const escaped = this.added.map(([token]) => token).sort((a, b) => b.length - a.length)
      .map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
    this.addedIds = new Map(this.added);
    this.addedPattern = escaped.length ? new RegExp(`(${escaped.join("|")})`) : null;
  }

  readMerges(pairs) {
    this.merges = new Map(); // left * pieces + right: {rank, id}
    this.mergeIds = [];
    for (let rank = 0; rank * 2 < pairs.length; rank++) {
      const left = pairs[rank * 2], right = pairs[rank * 2 + 1];
      const id = this.ids.get(this.pieces[left] + this.pieces[right].slice(this.prefix.length));
      this.merges.set(left * this.pieces.length + right, { rank, id });
      this.mergeIds.push(id);
    }
  }

  /** Piece ids of a text; an unknown or empty text is one piece 0, as in training. */
  encode(text) {
    const ids = [];
    const parts = this.addedPattern ? this.trim(text).split(this.addedPattern) : [this.trim(text)];
    for (let i = 0; i < parts.length && ids.length < this.maxPieces; i++) {
      if (i % 2) ids.push(this.addedIds.get(parts[i]));
      else this.encodeWords(parts[i], ids);
    }
    if (ids.length > this.maxPieces) ids.length = this.maxPieces;
    const isKnown = ids.some((id) => id !== this.unknown);
    return { ids: isKnown ? ids : [0], isKnown, isFull: ids.length >= this.maxPieces };
  }

  /** Append the ids of words until the maximum is reached. */
  encodeWords(text, ids) {
    let word = "";
    for (const character of text.replace(UNPAIRED_SURROGATE, "\uFFFD")) {
      const output = this.normalise(character);
      if (!output.includes(" ")) {
        word += output;
        continue;
      }
      const words = (word + output).split(" ");
      word = words.pop();
      for (const complete of words) for (const id of this.encodeWord(complete)) ids.push(id);
      if (ids.length >= this.maxPieces) return;
    }
    for (const id of this.encodeWord(word)) ids.push(id);
  }

  /** What becomes of a character; spaces in it end words. */
  normalise(character) {
    let output = this.mapped.get(character);
    if (output === undefined) {
      output = this.findOutput(character);
      this.mapped.set(character, output);
    }
    return output;
  }

  findOutput(character) {
    const point = character.codePointAt(0), runs = this.runs;
    let low = 0, high = runs.length / 3; // the last run that starts at or before the code point
    while (low < high) {
      const middle = (low + high) >> 1;
      if (runs[middle * 3] <= point) low = middle + 1;
      else high = middle;
    }
    const run = (low - 1) * 3;
    if (low === 0 || point >= runs[run] + runs[run + 1]) return character;
    const output = this.outputs[runs[run + 2]];
    return output === null ? ` ${character} ` : output;
  }

  encodeWord(word) {
    if (word === "") return [];
    let ids = this.cache.get(word);
    if (ids === undefined) {
      if (this.cache.size >= MAX_CACHED_WORDS) this.cache.clear();
      ids = this.type === "BPE" ? this.bytePairs(Array.from(word)) : this.longestPieces(Array.from(word));
      if (word.length <= MAX_CACHED_LENGTH) this.cache.set(word, ids);
    }
    return ids;
  }

  /** Byte-pair encoding: the pair of lowest rank is merged first, the leftmost of equal ones. */
  bytePairs(characters) {
    const ids = characters.map((character, i) => this.ids.get(i ? this.prefix + character : character) ?? this.unknown)
      .filter((id) => id >= 0);
    const next = ids.map((_, i) => i + 1), previous = ids.map((_, i) => i - 1);
    const queue = new NumberQueue(); // rank * POSITIONS + position
    const findMerge = (i) => this.merges.get(ids[i] * this.pieces.length + ids[next[i]]);
    const enqueue = (i) => {
      const merge = i >= 0 && next[i] < ids.length ? findMerge(i) : undefined;
      if (merge) queue.add(merge.rank * POSITIONS + i);
    };
    ids.forEach((_, i) => enqueue(i));
    while (queue.size) {
      const entry = queue.takeSmallest(), i = entry % POSITIONS, id = this.mergeIds[Math.floor(entry / POSITIONS)];
      if (ids[i] === null || next[i] >= ids.length || findMerge(i)?.id !== id) continue; // merged meanwhile
      const right = next[i];
      ids[i] = id;
      ids[right] = null;
      next[i] = next[right];
      if (next[i] < ids.length) previous[next[i]] = i;
      enqueue(previous[i]);
      enqueue(i);
    }
    return ids.filter((id) => id !== null);
  }

  /** WordPiece: the longest piece first; a word with an unknown part is unknown. */
  longestPieces(characters) {
    const ids = [];
    if (characters.length > this.maxCharacters) return [this.unknown];
    for (let start = 0; start < characters.length;) {
      let end = characters.length, id;
      for (; end > start; end--) {
        id = this.ids.get((start ? this.prefix : "") + characters.slice(start, end).join(""));
        if (id !== undefined) break;
      }
      if (id === undefined) return [this.unknown];
      ids.push(id);
      start = end;
    }
    return ids;
  }

  /** Remove white space at both ends, as Python's str.strip does. */
  trim(text) {
    let start = 0, end = text.length;
    while (start < end && this.stripped.has(text[start])) start++;
    while (end > start && this.stripped.has(text[end - 1])) end--;
    return text.slice(start, end);
  }
}
