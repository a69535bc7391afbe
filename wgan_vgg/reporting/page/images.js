// The table of every image, sorted by its header's buttons.
const FIRST_ROWS = 30;
const ALL = "all methods";
const table = { method: ALL, column: null, descending: false, whole: false };

function tableColumns() {
  return [["patient", 0], ["slice", 0], ["method", 0], ...DATA.images.columns, ["above noisy dB", 2]];
}

// A row: patient, slice, method, its metrics, the gain over the noisy input, and the image's position in the split.
function tableRows() {
  const { names, values, reference } = DATA.images;
  const noisy = values[reference];
  const methods = table.method === ALL ? DATA.images.methods : [table.method];
  return methods.flatMap((method) => values[method].map((metrics, i) => {
    const known = metrics[0] !== null && noisy[i][0] !== null;
    return { cells: [...names[i], method, ...metrics, known ? metrics[0] - noisy[i][0] : null], position: i };
  }));
}

const collator = new Intl.Collator("en", { numeric: true });

// Undefined values stand last in both directions.
function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" ? a - b : collator.compare(a, b);
  return table.descending ? -order : order;
}

function tableCell(value, digits, heading) {
  const cell = document.createElement(heading ? "th" : "td");
  if (heading) cell.scope = "row";
  const measured = typeof value === "number";
  if (!measured && !heading && value !== null) cell.className = "text";
  const text = heading ? cell.appendChild(document.createElement("span")) : cell;
  text.textContent = value === null ? "–" : measured ? value.toFixed(digits) : value;
  return cell;
}

function tableRow({ cells, position }) {
  const row = document.createElement("tr");
  row.append(...cells.map((value, i) => tableCell(value, tableColumns()[i][1], i === 0)));
  const method = row.children[2];
  const swatch = document.createElement("i");
  swatch.className = "swatch";
  swatch.style.background = DATA.colours[cells[2]];
  method.prepend(swatch);
  const shown = DATA.viewer.slices.findIndex((slice) => slice.position === position);
  const right = DATA.viewer.methods.indexOf(cells[2]);
  if (shown >= 0 && right >= 0) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "view";
    button.textContent = row.children[1].textContent;
    button.title = "show this slice in the viewer";
    button.setAttribute("aria-label", `slice ${cells[1]} of patient ${cells[0]}, ${cells[2]}: show in the viewer`);
    button.addEventListener("click", () => {
      show({ slice: shown, right });
      byId("look").scrollIntoView();
      byId("split").focus({ preventScroll: true });
    });
    row.children[1].replaceChildren(button);
  }
  return row;
}

function drawTable() {
  const rows = tableRows();
  if (table.column !== null) rows.sort((a, b) => compare(a.cells[table.column], b.cells[table.column]));
  const shown = table.whole ? rows : rows.slice(0, FIRST_ROWS);
  byId("image-body").replaceChildren(...shown.map(tableRow));
  byId("image-count").textContent = `${shown.length} of ${rows.length} rows`;
  byId("show-all").hidden = shown.length === rows.length;
  byId("show-all").textContent = `Show all ${rows.length} rows`;
  [...byId("image-head").children].forEach((head, i) => {
    head.setAttribute("aria-sort", i !== table.column ? "none" : table.descending ? "descending" : "ascending");
  });
}

function sortBy(column) {
  table.descending = table.column === column && !table.descending;
  table.column = column;
  drawTable();
}

function startTable() {
  const names = [ALL, ...DATA.images.methods];
  byId("method").replaceChildren(...names.map((name) => new Option(name, name)));
  table.method = DATA.images.models.at(-1);
  byId("method").value = table.method;
  byId("method").addEventListener("change", (event) => {
    table.method = event.target.value;
    drawTable();
  });
  byId("image-head").append(...tableColumns().map(([name], i) => {
    const head = document.createElement("th");
    head.scope = "col";
    if (i === 2) head.className = "text";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => sortBy(i));
    head.append(button);
    return head;
  }));
  byId("show-all").addEventListener("click", () => {
    table.whole = true;
    drawTable();
  });
  byId("image-table").hidden = false;
  drawTable();
}

startTable();
