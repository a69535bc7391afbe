// The before/after viewer: two methods' images of one slice, both in HU, under one window.
const PIXELATED = 256; // a wider image's pixels are about the screen's: without smoothing some would be drawn twice
const viewer = {
  slice: 0, left: 0, right: 0, level: 0, width: 1,
  pixels: null, // Int16Array of (slices, methods, height, width)
};

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Int16Array(await new Response(stream).arrayBuffer()); // little-endian, as all browsers' machines are
}

function hu(method, x, y) {
  const { methods, height, width } = DATA.viewer;
  return viewer.pixels[((viewer.slice * methods.length + method) * height + y) * width + x];
}

function draw() {
  const { height, width } = DATA.viewer;
  const edge = (byId("split").value / 100) * width;
  const context = byId("canvas").getContext("2d");
  const image = context.createImageData(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const value = hu(x + 0.5 < edge ? viewer.left : viewer.right, x, y);
      const grey = ((value - viewer.level) / viewer.width + 0.5) * 255; // a clamped array cuts what is beyond
      image.data[at] = image.data[at + 1] = image.data[at + 2] = grey;
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  byId("divider").style.left = `${byId("split").value}%`;
  byId("split").setAttribute("aria-valuetext", `${byId("split").value} %`);
}

function quality(method) {
  const name = DATA.viewer.methods[method];
  const values = DATA.images.values[name];
  if (!values) return "the truth";
  const [psnr, ssim] = values[DATA.viewer.slices[viewer.slice].position];
  return `${psnr === null ? "–" : psnr.toFixed(2)} dB, SSIM ${ssim === null ? "–" : ssim.toFixed(3)}`;
}

function describe() {
  for (const side of ["left", "right"]) {
    byId(side).value = viewer[side];
    byId(`${side}-name`).textContent = DATA.viewer.methods[viewer[side]];
    byId(`${side}-quality`).textContent = quality(viewer[side]);
  }
  const without = DATA.viewer.without_hu.filter((name) => name);
  byId("without-hu").textContent = without.length
    ? `${without.join(" and ")}: of a min-max rescaled input, so their HU are not true.` : "";
  byId("slice").value = viewer.slice;
  byId("level").value = viewer.level;
  byId("width").value = viewer.width;
  for (const button of byId("windows").children) {
    const same = Number(button.dataset.level) === viewer.level && Number(button.dataset.width) === viewer.width;
    button.setAttribute("aria-pressed", String(same));
  }
}

function show(changes) {
  Object.assign(viewer, changes);
  describe();
  draw();
}

function readOut(event) {
  const { height, width, methods } = DATA.viewer;
  const box = byId("canvas").getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * height);
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  byId("readout").textContent = `column ${x}, row ${y}: ` + [viewer.left, viewer.right]
    .map((method) => `${methods[method]} ${hu(method, x, y)} HU`).join(", ");
}

function addOptions(select, names) {
  select.replaceChildren(...names.map((name, index) => new Option(name, index)));
}

async function startViewer() {
  const { methods, slices, windows, height, width } = DATA.viewer;
  viewer.pixels = await unpack(DATA.viewer.pixels);
  byId("canvas").width = width;
  byId("canvas").height = height;
  byId("canvas").style.imageRendering = width <= PIXELATED ? "pixelated" : "auto";
  addOptions(byId("slice"), slices.map((slice) => slice.name));
  addOptions(byId("left"), methods);
  addOptions(byId("right"), methods);
  for (const [name, level, windowWidth] of windows) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.title = `level ${level}, width ${windowWidth} HU`;
    Object.assign(button.dataset, { level, width: windowWidth });
    button.addEventListener("click", () => show({ level, width: windowWidth }));
    byId("windows").append(button);
  }
  for (const name of ["slice", "left", "right"]) {
    byId(name).addEventListener("change", (event) => show({ [name]: Number(event.target.value) }));
  }
  byId("level").addEventListener("change", (event) => show({ level: Number(event.target.value) || 0 }));
  byId("width").addEventListener("change", (event) => show({ width: Math.max(1, Number(event.target.value) || 1) }));
  byId("split").addEventListener("input", draw);
  byId("split").addEventListener("pointermove", readOut);
  byId("viewer").hidden = false;
  show({ right: methods.length - 1, level: windows[0][1], width: windows[0][2] });
}

startViewer();
