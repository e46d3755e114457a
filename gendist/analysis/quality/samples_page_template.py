"""Jinja template, CSS and JavaScript of the samples page."""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Generated rows: {{ names.dataset }}, {{ names.generator }}, {{ names.sampling }}</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>Generated rows: {{ names.dataset }}</h1>
<p>Generator <b>{{ names.generator }}</b>, sampling <b>{{ names.sampling }}</b>, teacher <b>{{ names.teacher }}</b>.
{% if rows|length == total %}
All {{ "{:,}".format(total) }} rows that hold text, {{ marked }} of them marked as repeats.
{% else %}
{{ "{:,}".format(rows|length) }} of {{ "{:,}".format(total) }} rows that hold text: the {{ doubtful }} least
confident, the first {{ most_marked }} that repeat others ({{ marked }} shown), and others drawn at random.
{% endif %}
A model wrote the texts, so nothing in them need be true. They are shown detokenised;
<code>rows.parquet</code> holds them as generated.</p>
<form id="controls" hidden>
<label>Class <select id="class"><option value="">all</option>
{% for name in classes %}
<option value="{{ name }}">{{ name }}</option>
{% endfor %}
</select></label>
<label>Show <select id="kind">
<option value="">all rows</option>
<option value="any">repeats of any kind</option>
<option value="near-duplicate">near duplicates</option>
<option value="duplicate">duplicates</option>
<option value="near-copy">near copies</option>
<option value="copy">copies</option>
{% if conditional %}
<option value="other">not as asked for</option>
{% endif %}
</select></label>
<label>Sort <select id="sort">
<option value="up">least confident first</option>
<option value="down">most confident first</option>
<option value="row">by row</option>
<option value="near">nearest to a real row first</option>
</select></label>
<label>Find <input id="find" type="search" autocomplete="off" spellcheck="false"></label>
<output id="count" aria-live="polite"></output>
</form>
</header>
<main>
<table>
<thead><tr><th scope="col">Row</th><th scope="col">Generated text</th><th scope="col">Teacher's label, probability</th>
<th scope="col">Nearest real row</th></tr></thead>
<tbody id="rows">
{% for row in rows %}
<tr data-row="{{ row.row }}" data-class="{{ row.predicted }}" data-confidence="{{ row.confidence }}" \
data-near="{{ row.nearest_similarity }}" data-kinds="{{ row.kinds }}"\
{% if row.asked is not none and row.asked != row.predicted %} data-other="yes"{% endif %}>
<td class="number">{{ "{:,}".format(row.row) }}</td>
<td class="text"><p dir="auto">{{ row.text }}</p>
<p class="note">{{ row.n_words }} word{{ "" if row.n_words == 1 else "s" }}
{%- for mark, of in row.marks %} <mark>{{ mark }} of {{ "row" if "duplicate" in mark else "real row" }}
{{ "{:,}".format(of) }}</mark>
{%- endfor %}</p></td>
<td class="teacher"><b>{{ row.predicted }}</b> <span class="nowrap"><meter min="0" max="1" \
value="{{ row.confidence }}"></meter> {{ "%.2f"|format(row.confidence) }}</span>
<span class="note nowrap">entropy {{ "%.2f"|format(row.entropy) }}</span>
{% if row.asked is not none and row.asked != row.predicted %}
<span class="note">asked for {{ row.asked }}</span>
{% endif %}
</td>
{% if row.nearest_similarity > 0 %}
<td class="nearest"><p class="note"><b>{{ row.nearest_label }}</b>, similarity
{{ "%.2f"|format(row.nearest_similarity) }}</p><p dir="auto">{{ row.nearest_text }}</p></td>
{% else %}
<td class="nearest"><p class="note">none that has a word in common</p></td>
{% endif %}
</tr>
{% endfor %}
</tbody>
</table>
</main>
<script>{{ script }}</script>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5a6270; --paper: #fff; --line: #d9dde3; --bar: #f3f5f8;
  --tint: #ffe9b8; --mark: #5f4200; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #a2a9b5; --paper: #14171c; --line: #343a44;
  --bar: #1d2128; --tint: #4d3a0c; --mark: #ffdf9b; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.45 system-ui, sans-serif; }
header, main { max-width: 80rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 1rem 0 .3rem; overflow-wrap: anywhere; }
header p { margin: 0 0 .8rem; color: var(--soft); max-width: 46rem; overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; padding: 0 0 .8rem; }
form[hidden] { display: none; }
label { display: flex; gap: .4rem; align-items: center; color: var(--soft); font-size: .9rem; min-width: 0; }
select, input { font: inherit; color: var(--ink); background: var(--bar); border: 1px solid var(--line);
  border-radius: .3rem; padding: .4rem .5rem; min-width: 0; max-width: 15rem; min-height: 2.5rem; }
select:focus-visible, input:focus-visible { outline: 2px solid #4b8fd6; outline-offset: 1px; }
output { color: var(--soft); font-size: .9rem; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; margin-bottom: 2rem; }
th { text-align: left; font-size: .85rem; color: var(--soft); position: sticky; top: 0; background: var(--bar); }
th, td { padding: .55rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th:nth-child(1) { width: 4.6rem; } th:nth-child(3) { width: 10.5rem; } th:nth-child(4) { width: 34%; }
td p { margin: 0; }
.number { color: var(--soft); font-variant-numeric: tabular-nums; }
.note, .nearest { font-size: .85rem; color: var(--soft); }
.teacher b, .teacher .note { display: block; }
.nowrap { white-space: nowrap; font-variant-numeric: tabular-nums; }
meter { width: 5rem; height: .8rem; vertical-align: middle; }
mark { color: var(--mark); background: var(--tint); border-radius: .25rem; padding: 0 .3rem; margin-left: .3rem; }
@media (max-width: 50rem) {
  table, tbody, tr, td { display: block; }
  thead { display: none; }
  tr { border-bottom: 1px solid var(--line); padding: .7rem 0; }
  tr[hidden] { display: none; }
  td { border: 0; padding: .1rem 0; }
  .number::before { content: "Row "; }
  .number { font-size: .85rem; }
  .teacher { margin: .3rem 0; }
  .teacher b, .teacher .note { display: inline; margin-right: .5rem; }
  .nearest { border-left: 3px solid var(--line); padding-left: .6rem; margin-top: .3rem; }
  .nearest .note::before { content: "Nearest real row: "; }
  label { flex: 1 1 9rem; flex-direction: column; align-items: stretch; gap: .1rem; }
  select, input { width: 100%; max-width: none; }
}
@media print { form { display: none; } th { position: static; } }
"""

SCRIPT = """
"use strict";
(function () {
  const byId = function (id) { return document.getElementById(id); };
  const body = byId("rows");
  const rows = Array.from(body.rows);
  const texts = new Map(rows.map(function (row) { return [row, row.cells[1].textContent.toLowerCase()]; }));
  const number = function (row, key) { return Number(row.dataset[key]); };
  const orders = {
    up: function (a, b) { return number(a, "confidence") - number(b, "confidence"); },
    down: function (a, b) { return number(b, "confidence") - number(a, "confidence"); },
    near: function (a, b) { return number(b, "near") - number(a, "near"); },
    row: function () { return 0; }
  };
  const kept = function (row) {
    const kind = byId("kind").value;
    const kinds = row.dataset.kinds;
    const fits = !kind || (kind === "any" && kinds) || (kind === "other" && row.dataset.other)
      || kinds.split(" ").includes(kind);
    const asked = byId("class").value;
    return fits && (!asked || row.dataset.class === asked)
      && texts.get(row).includes(byId("find").value.trim().toLowerCase());
  };
  const sort = function () {
    const order = orders[byId("sort").value];
    rows.sort(function (a, b) { return order(a, b) || number(a, "row") - number(b, "row"); });
    body.append(...rows);
  };
  const filter = function () {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !kept(row);
      shown += row.hidden ? 0 : 1;
    }
    byId("count").textContent = shown + (shown === 1 ? " row" : " rows");
  };
  byId("sort").addEventListener("change", sort);
  for (const id of ["class", "kind"]) { byId(id).addEventListener("change", filter); }
  byId("find").addEventListener("input", filter);
  byId("controls").addEventListener("submit", function (event) { event.preventDefault(); });
  byId("controls").hidden = false;
  sort();
  filter();
})();
"""
