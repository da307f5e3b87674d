// The page of keras_pose.demo: a photograph, a box, and the joints in it.
import * as ort from "./ort.wasm.bundle.min.mjs";

const find = (id) => document.getElementById(id);
const view = find("view"), pen = view.getContext("2d"), state = find("state");
const photo = document.createElement("canvas"); // as it is, without drawings
const pixels = photo.getContext("2d", { willReadFrequently: true });
const COLORS = { left: "#ff8a29", right: "#40a8ff", "": "#f3f0e4" };
let about, session, found = null, box = null, drag = null, chosen = -1, video = null;

const sideOf = (name) => /left/i.test(name) ? "left" : /right/i.test(name) ? "right" : "";
const shown = (name) => name.replaceAll("_", " ");

async function load() {
  ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
  ort.env.wasm.numThreads = 1; // more need headers that a static page lacks
  about = await (await fetch("serving.json")).json();
  session = await ort.InferenceSession.create("pose.onnx", { executionProviders: ["wasm"] });
  if (about.warning) { find("warning").textContent = `Note: ${about.warning}.`; find("warning").hidden = false; }
  const data = Array.isArray(about.trained_on) ? about.trained_on.join(", ") : about.trained_on;
  find("about").textContent = `Model ${about.model}. Trained on: ${data}. Licence: ${about.licence}. A joint's score is ${about.score}.`;
  find("joints").replaceChildren(...about.joints.map((name, k) => {
    const row = document.createElement("li");
    row.style.setProperty("--side", `var(--${sideOf(name) || "middle"})`);
    row.tabIndex = 0;
    for (const kind of ["i", "span", "b", "span"]) row.append(document.createElement(kind));
    row.children[1].textContent = shown(name);
    row.onpointerenter = row.onfocus = () => choose(k);
    row.onpointerleave = row.onblur = () => choose(-1);
    return row;
  }));
  state.textContent = "ready";
}

function choose(k) { if (k !== chosen) { chosen = k; draw(); } }

// Finds the joints in the box of the picture on the canvas `photo`.
async function locate() {
  const { width, height } = photo;
  const rgba = pixels.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb[j++] = rgba[i]; rgb[j++] = rgba[i + 1]; rgb[j++] = rgba[i + 2];
  }
  const started = performance.now();
  const out = await session.run({
    image: new ort.Tensor("uint8", rgb, [height, width, 3]),
    box: new ort.Tensor("float32", Float32Array.from(box), [4]),
  });
  const ms = performance.now() - started;
  found = { joints: out.joints.data, scores: out.scores.data, missing: out.missing.data };
  if (out.maps) found.maps = { data: out.maps.data, dims: out.maps.dims, place: out.place.data };
  state.textContent = Number.isNaN(found.scores[0]) ? "draw a larger box" : `${ms.toFixed(0)} ms`;
  [...find("joints").children].forEach((row, k) => {
    const score = found.scores[k];
    row.classList.toggle("missing", Boolean(found.missing[k]) || Number.isNaN(score));
    row.style.setProperty("--share", `${100 * Math.min(1, Math.max(0, score || 0))}%`);
    row.children[3].textContent = Number.isNaN(score) ? "" : score.toFixed(2);
  });
  draw();
  return { ms, joints: Array.from(found.joints), scores: Array.from(found.scores) };
}

function draw() {
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.drawImage(photo, 0, 0);
  const line = Math.max(1.5, Math.max(view.width, view.height) / 220);
  if (found && chosen >= 0 && found.maps) drawMap(chosen);
  const corner = drag ? drag.box : box;
  if (corner && !(corner[0] === 0 && corner[1] === 0 && corner[2] === view.width && corner[3] === view.height)) {
    pen.lineWidth = line * 0.7; pen.strokeStyle = "#fff"; pen.setLineDash([4 * line, 3 * line]);
    pen.strokeRect(...corner); pen.setLineDash([]);
  }
  if (!found || drag) return;
  const at = (k) => [found.joints[2 * k], found.joints[2 * k + 1]];
  const number = Object.fromEntries(about.joints.map((name, k) => [name, k]));
  pen.lineCap = "round";
  for (const limb of about.limbs) {
    const [a, b] = limb.map((name) => number[name]);
    if (found.missing[a] || found.missing[b]) continue;
    for (const [width, color] of [[2, "#12141880"], [1.2, COLORS[sideOf(limb[0]) || sideOf(limb[1])]]]) {
      pen.lineWidth = line * width; pen.strokeStyle = color;
      pen.beginPath(); pen.moveTo(...at(a)); pen.lineTo(...at(b)); pen.stroke();
    }
  }
  about.joints.forEach((name, k) => {
    if (found.missing[k] && k !== chosen) return;
    pen.beginPath(); pen.arc(...at(k), line * (k === chosen ? 2.4 : 1.6), 0, 7);
    pen.fillStyle = found.missing[k] ? "transparent" : COLORS[sideOf(name)]; pen.fill();
    pen.lineWidth = line * 0.6; pen.strokeStyle = k === chosen ? "#fff" : "#121418"; pen.stroke();
  });
  if (chosen >= 0) {
    const text = `${shown(about.joints[chosen])} ${(found.scores[chosen] || 0).toFixed(2)}`;
    pen.font = `${Math.round(line * 7)}px system-ui, sans-serif`;
    const wide = pen.measureText(text).width + 4 * line, [x, y] = at(chosen);
    const left = Math.min(Math.max(x + 4 * line, 0), view.width - wide), top = Math.max(y - 12 * line, 0);
    pen.fillStyle = "#121418d0"; pen.fillRect(left, top, wide, 10 * line);
    pen.fillStyle = "#fff"; pen.fillText(text, left + 2 * line, top + 7.5 * line);
  }
}

// The map of a joint over the part of the picture that the network saw.
function drawMap(k) {
  const { data, dims: [, height, width], place } = found.maps;
  const image = new ImageData(width, height), size = width * height;
  for (let i = 0; i < size; i++) {
    const value = Math.min(1, Math.max(0, data[k * size + i]));
    image.data.set([255, 60 + 170 * value, 40, 215 * Math.sqrt(value)], 4 * i);
  }
  const map = document.createElement("canvas");
  [map.width, map.height] = [width, height];
  map.getContext("2d").putImageData(image, 0, 0);
  const [stepX, , x, , stepY, y] = place; // from cells to the photograph
  pen.fillStyle = "#00000066"; pen.fillRect(0, 0, view.width, view.height);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(map, x - stepX / 2, y - stepY / 2, stepX * width, stepY * height);
}

function whole() { box = [0, 0, photo.width, photo.height]; return locate(); }

function accept(source, width, height) {
  [photo.width, photo.height] = [view.width, view.height] = [width, height];
  pixels.drawImage(source, 0, 0, width, height);
  view.style.display = "block"; find("empty").hidden = true; find("whole").disabled = false;
}

// Shows a photograph (a Blob) and the joints in a box, by default all of it.
async function show(blob, where) {
  stop();
  let bitmap;
  try { bitmap = await createImageBitmap(blob); } catch { state.textContent = "this is no photograph that the browser can read"; return null; }
  accept(bitmap, bitmap.width, bitmap.height);
  found = null; box = where || [0, 0, bitmap.width, bitmap.height];
  return locate();
}

async function camera() {
  if (video) return stop();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video = document.createElement("video");
    video.srcObject = stream; video.muted = true; video.playsInline = true;
    await video.play();
  } catch (error) { video = null; state.textContent = `no camera: ${error.message}`; return; }
  find("camera").textContent = "Stop the camera"; box = null;
  while (video) {
    const fresh = !box || view.width !== video.videoWidth;
    if (fresh) { accept(video, video.videoWidth, video.videoHeight); box = [0, 0, photo.width, photo.height]; }
    else pixels.drawImage(video, 0, 0);
    await locate();
    await new Promise(requestAnimationFrame);
  }
}

function stop() {
  if (video) video.srcObject.getTracks().forEach((track) => track.stop());
  video = null; find("camera").textContent = "Camera";
}

function pointOf(event) {
  const frame = view.getBoundingClientRect();
  return [(event.clientX - frame.left) * view.width / frame.width, (event.clientY - frame.top) * view.height / frame.height];
}

view.onpointerdown = (event) => { const at = pointOf(event); view.setPointerCapture(event.pointerId); drag = { start: at, box: null }; };
view.onpointermove = (event) => {
  const [x, y] = pointOf(event);
  if (drag) {
    const [u, v] = drag.start, clip = (value, most) => Math.min(Math.max(value, 0), most);
    const [l, r] = [clip(Math.min(u, x), view.width), clip(Math.max(u, x), view.width)];
    const [t, b] = [clip(Math.min(v, y), view.height), clip(Math.max(v, y), view.height)];
    drag.box = [l, t, r - l, b - t];
    draw();
  } else if (found) nearest(x, y);
};
view.onpointerup = (event) => {
  const drawn = drag && drag.box; drag = null;
  const least = Math.max(view.width, view.height) / 40;
  if (drawn && Math.max(drawn[2], drawn[3]) > least && Math.min(drawn[2], drawn[3]) > 1) { box = drawn; if (!video) locate(); }
  else { if (found) nearest(...pointOf(event)); draw(); }
};
view.onpointercancel = () => { drag = null; draw(); };
view.onpointerleave = () => choose(-1);

function nearest(x, y) {
  let best = -1, least = (Math.max(view.width, view.height) / 25) ** 2;
  for (let k = 0; k < found.scores.length; k++) {
    const apart = (found.joints[2 * k] - x) ** 2 + (found.joints[2 * k + 1] - y) ** 2;
    if (apart < least) [best, least] = [k, apart];
  }
  choose(best);
}

const stage = find("stage");
find("file").onchange = (event) => event.target.files[0] && show(event.target.files[0]);
find("whole").onclick = whole;
find("camera").onclick = camera;
document.ondragover = (event) => { event.preventDefault(); stage.classList.add("over"); };
document.ondragleave = () => stage.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault(); stage.classList.remove("over");
  if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
};
window.show = show; // for tests
try { await load(); window.ready = true; } catch (error) { state.textContent = `the network cannot be loaded: ${error.message}`; }
