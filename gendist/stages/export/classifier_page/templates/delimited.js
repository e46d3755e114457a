const DELIMITERS = [",", ";", "\t", "|"];
const COLUMN_NAME = /^[\p{L}_][\p{L}\p{N}_ .-]{0,40}$/u;
const SAMPLE_RECORDS = 50, SAMPLE_CHARACTERS = 2 ** 18;

/** Decode a file: {text, note}. A byte-order mark decides; UTF-8 is tried before Windows-1252. */
function decodeFile(bytes) {
  let text, note = "";
  const mark = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "";
  try {
    text = new TextDecoder(mark || "utf-8", { fatal: true }).decode(bytes);
  } catch {
    if (mark) throw new Error("it begins with the mark of UTF-16, but is damaged");
    text = new TextDecoder("windows-1252").decode(bytes);
    note = "It is not UTF-8 and was read as Windows-1252: check letters with accents.";
  }
  if (text.includes("\0")) throw new Error("it is no text file; save a spreadsheet as CSV");
  return { text, note };
}

/**
 * Split delimited text into records, {line, cells} each; blank lines are skipped.
 *
 * With `isQuoted`, quotes enclose cells with delimiters and line breaks. Throws an Error that names the line.
 */
function parseRecords(text, delimiter, isQuoted, limit = Infinity) {
  const records = [];
  let cells = [], line = 1, first = 1, at = 0;
  const endRecord = () => {
    if (cells.length > 1 || cells[0] !== "") records.push({ line: first, cells });
    cells = [];
    first = line;
  };
  while (at < text.length && records.length < limit) {
    if (isQuoted && text[at] === '"') {
      let cell = "", from = at + 1, end;
      for (;;) {
        end = text.indexOf('"', from);
        if (end < 0) throw new Error(`line ${first}: a quote is never closed`);
        cell += text.slice(from, end);
        if (text[end + 1] !== '"') break;
        cell += '"';
        from = end + 2;
      }
      line += text.slice(at, end).split(/\r\n|\n|\r/).length - 1;
      cells.push(cell);
      at = end + 1;
      if (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r")
        throw new Error(`line ${line}: text after a closing quote`);
    } else {
      let end = at;
      while (end < text.length && text[end] !== delimiter && text[end] !== "\n" && text[end] !== "\r") end++;
      cells.push(text.slice(at, end));
      at = end;
    }
    if (text[at] === delimiter) {
      at++;
      if (at >= text.length) cells.push("");
      continue;
    }
    if (at < text.length) {
      at += text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1;
      line++;
    }
    endRecord();
  }
  if (cells.length) endRecord();
  return records;
}

/** Records of a text without columns: every line is a record, also a blank one. */
function parseLines(text) {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === "") lines.pop();
  return lines.map((cell, i) => ({ line: i + 1, cells: [cell] }));
}

/** The delimiter of a table, "" for lines of text: one that gives all first records as many cells as names. */
function detectDelimiter(text, wanted) {
  const found = [];
  for (const delimiter of DELIMITERS) {
    let records;
    try {
      records = parseRecords(text.slice(0, SAMPLE_CHARACTERS), delimiter, true, SAMPLE_RECORDS);
    } catch {
      records = parseRecords(text.slice(0, SAMPLE_CHARACTERS), delimiter, false, SAMPLE_RECORDS);
    }
    if (text.length > SAMPLE_CHARACTERS) records.pop(); // cut off
    const names = records.length ? records[0].cells : [];
    const isEven = names.length > 1 && records.every(({ cells }) => cells.length === names.length);
    if (names.length > 1 && wanted.every((name) => names.includes(name))) return delimiter;
    if (isEven && names.every((name) => COLUMN_NAME.test(name))) found.push([names.length, delimiter]);
  }
  found.sort((a, b) => b[0] - a[0]);
  return found.length ? found[0][1] : "";
}

/** Whether the first record of a table has the names of its columns. */
function detectHeader(records, wanted) {
  const names = records.length ? records[0].cells.map((cell) => cell.trim()) : [];
  if (wanted.every((name) => names.includes(name))) return true;
  return new Set(names).size === names.length && names.every((name) => COLUMN_NAME.test(name));
}

/** Split text into {records, note}; throws an Error if a record has another number of cells than the first. */
function parseTable(text, delimiter) {
  if (delimiter === "") return { records: parseLines(text), note: "" };
  const parse = (isQuoted) => {
    const records = parseRecords(text, delimiter, isQuoted);
    const count = records.length ? records[0].cells.length : 0;
    for (const { line, cells } of records)
      if (cells.length !== count) throw new Error(`line ${line} has ${cells.length} cells, the first line ${count}`);
    return records;
  };
  try {
    return { records: parse(true), note: "" };
  } catch (error) {
    if (!text.includes('"')) throw error;
    try {
      return { records: parse(false), note: "Quotes were read as part of the texts." };
    } catch {
      throw error;
    }
  }
}

/** Write a record as a line of CSV. */
function csvLine(cells, isGuarded) {
  return cells.map((value) => {
    let cell = String(value);
    if (isGuarded && /^[=+\-@\t\r]/.test(cell) && !/^[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?$/.test(cell)) cell = `'${cell}`;
    return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  }).join(",") + "\n";
}
