// The page of keras_pose.demo: a picture, a box, and the joints in it.
import * as ort from "./ort.wasm.bundle.min.mjs";

const find = (id) => document.getElementById(id);
const view = find("view"), pen = view.getContext("2d"), stage = find("stage");
const photo = document.createElement("canvas"); // the picture without drawings
const pixels = photo.getContext("2d", { willReadFrequently: true });
const COLORS = { left: "#ff8a29", right: "#40a8ff", "": "#f3f0e4" };
const DARK = "#121418";
const MOST = 16e6; // pixels of a canvas, which phones limit
const LEAST = 320; // height of the picture on a screen that is low
const LARGER = 3; // times, at most, that a small picture is enlarged
const GLOW = [[84, 24, 140], [230, 70, 60], [255, 170, 40], [255, 248, 200]];

let about, session;
let found = null; // the last answer
let box = null; // x, y, width, height in pixels of the picture
let drag = null; // {start, box} while a box is drawn
let chosen = -1; // the joint whose map is shown
let video = null; // of the camera while it runs
let queue = Promise.resolve(); // a session computes one thing at a time

const say = (text) => { find("state").textContent = text; };
const sideOf = (name) => /left/i.test(name) ? "left" : /right/i.test(name) ? "right" : "";
const shown = (name) => name.replaceAll("_", " ");

async function load() {
  ort.env.wasm.numThreads = 1; // more need headers that a static page lacks
  about = await (await fetch("serving.json")).json();
  session = await ort.InferenceSession.create("pose.onnx", { executionProviders: ["wasm"] });
  find("joints").replaceChildren(...about.joints.map(makeRow));
  find("least").textContent = about.missing_threshold;
  if (session.outputNames.includes("maps")) {
    find("hint").append(" Point at a joint to see where the network looks for it: the brighter, the surer.");
  }
  if (about.warning) { find("warning").textContent = `Note: ${about.warning}.`; find("warning").hidden = false; }
  const data = [about.trained_on].flat().join(", ");
  find("about").textContent = `Model ${about.model}. Trained on: ${data}. Licence: ${about.licence}. A joint's score is ${about.score}.`;
  const lead = document.createElement("strong");
  lead.textContent = "Drop a picture of a person here";
  find("empty").replaceChildren(lead, "or paste one. Then draw a box around one person.");
  find("camera").disabled = false;
  say("ready");
}

function makeRow(name, k) {
  const row = document.createElement("li");
  row.style.setProperty("--side", `var(--${sideOf(name) || "middle"})`);
  row.tabIndex = 0;
  for (const kind of ["i", "span", "b", "span"]) row.append(document.createElement(kind));
  row.children[1].textContent = shown(name);
  row.onpointerenter = row.onfocus = () => choose(k);
  row.onpointerleave = row.onblur = () => choose(-1);
  return row;
}

function choose(k) {
  if (k === chosen) return;
  chosen = k;
  [...find("joints").children].forEach((row, each) => row.classList.toggle("chosen", each === k));
  draw();
}

// Finds the joints in the box of the picture, after what has been asked before.
function locate() {
  const answer = queue.then(compute);
  queue = answer.catch((error) => say(`the network failed: ${error.message}`));
  return answer;
}

async function compute() {
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
  if (photo.width !== width || photo.height !== height) return null; // another picture came
  found = { joints: out.joints.data, scores: out.scores.data, missing: out.missing.data };
  if (out.maps) found.maps = { data: out.maps.data, dims: out.maps.dims, place: out.place.data };
  const nobody = Number.isNaN(found.scores[0]); // what a bad box gives
  const tip = isWhole(box) && !video ? "draw a box around a person · " : "";
  say(nobody ? "this box cannot hold a person" : `${tip}${ms.toFixed(0)} ms`);
  [...find("joints").children].forEach((row, k) => {
    const score = found.scores[k];
    row.classList.toggle("missing", nobody || Boolean(found.missing[k]));
    row.style.setProperty("--share", `${100 * Math.min(1, Math.max(0, score || 0))}%`);
    row.children[3].textContent = nobody ? "" : score.toFixed(2);
  });
  if (nobody) found = null;
  draw();
  window.answer = { ms, box, joints: Array.from(out.joints.data), scores: Array.from(out.scores.data) };
  return window.answer;
}

// The canvas gets as many pixels as the screen has in its place.
function fit() {
  if (view.hidden) return;
  const top = stage.getBoundingClientRect().top + scrollY;
  const height = Math.max(LEAST, innerHeight - top - 24);
  const width = Math.min(stage.clientWidth, height * photo.width / photo.height, LARGER * photo.width);
  view.style.width = `${width}px`;
  view.width = Math.max(1, Math.round(width * devicePixelRatio));
  view.height = Math.max(1, Math.round(view.width * photo.height / photo.width));
  draw();
}

function draw() {
  if (view.hidden) return;
  const scale = view.width / photo.width;
  const line = Math.max(1.5 * devicePixelRatio, Math.min(view.width, view.height) / 150);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(photo, 0, 0, view.width, view.height);
  const points = chosen >= 0 && found && found.maps;
  if (points) drawMap(chosen, scale);
  drawBox(drag && drag.box || box, scale, line);
  if (!found || drag) return;
  // The centre of the first pixel is (0, 0).
  const at = (k) => [(found.joints[2 * k] + 0.5) * scale, (found.joints[2 * k + 1] + 0.5) * scale];
  pen.globalAlpha = points ? 0.45 : 1;
  drawSkeleton(at, line);
  pen.globalAlpha = 1;
  if (chosen >= 0) { drawJoint(at(chosen), chosen, line * 1.4); drawLabel(at(chosen), line); }
}

function drawBox(corner, scale, line) {
  if (!corner || isWhole(corner)) return;
  const edges = corner.map((value) => value * scale);
  for (const [color, width, dashes] of [["#00000080", 2, []], ["#fff", 1, [5, 4]]]) {
    pen.lineWidth = width * devicePixelRatio; pen.strokeStyle = color;
    pen.setLineDash(dashes.map((value) => value * line)); pen.strokeRect(...edges);
  }
  pen.setLineDash([]);
}

function drawSkeleton(at, line) {
  const number = Object.fromEntries(about.joints.map((name, k) => [name, k]));
  pen.lineCap = "round";
  for (const limb of about.limbs) {
    const [a, b] = limb.map((name) => number[name]);
    if (found.missing[a] || found.missing[b]) continue;
    for (const [width, color] of [[2.2, DARK], [1.3, COLORS[sideOf(limb[0]) || sideOf(limb[1])]]]) {
      pen.lineWidth = line * width; pen.strokeStyle = color;
      pen.beginPath(); pen.moveTo(...at(a)); pen.lineTo(...at(b)); pen.stroke();
    }
  }
  about.joints.forEach((_, k) => { if (!found.missing[k]) drawJoint(at(k), k, line); });
}

function drawJoint(point, k, line) {
  pen.beginPath(); pen.arc(...point, line * 1.9, 0, 7);
  pen.fillStyle = found.missing[k] ? "#0000" : COLORS[sideOf(about.joints[k])]; pen.fill();
  pen.lineWidth = line * 0.6; pen.strokeStyle = k === chosen ? "#fff" : DARK; pen.stroke();
}

function drawLabel([x, y], line) {
  const size = Math.max(13 * devicePixelRatio, line * 4.5), pad = size / 2;
  pen.font = `${size}px system-ui, sans-serif`;
  const text = `${shown(about.joints[chosen])} ${found.scores[chosen].toFixed(2)}`;
  const width = pen.measureText(text).width + 2 * pad, height = 1.7 * size;
  const left = Math.max(0, Math.min(x + 4 * line, view.width - width));
  const top = Math.max(0, Math.min(y - height - 3 * line, view.height - height));
  pen.fillStyle = "#121418e0"; pen.fillRect(left, top, width, height);
  pen.fillStyle = "#fff"; pen.fillText(text, left + pad, top + 1.2 * size);
}

// The map of a joint over the part of the picture that the network saw.
function drawMap(k, scale) {
  const { data, dims: [, height, width], place } = found.maps;
  const size = width * height, values = data.subarray(k * size, (k + 1) * size);
  const most = Math.max(1e-6, values.reduce((a, b) => Math.max(a, b)));
  const image = new ImageData(width, height);
  values.forEach((value, i) => {
    const share = Math.max(0, value / most), where = share * (GLOW.length - 1);
    const low = Math.min(Math.floor(where), GLOW.length - 2), part = where - low;
    const color = GLOW[low].map((each, c) => each + part * (GLOW[low + 1][c] - each));
    image.data.set([...color, 235 * share ** 0.7], 4 * i);
  });
  const map = document.createElement("canvas");
  [map.width, map.height] = [width, height];
  map.getContext("2d").putImageData(image, 0, 0);
  const [stepX, , x, , stepY, y] = place; // from cells to pixels, centre to centre
  pen.fillStyle = "#0000008c"; pen.fillRect(0, 0, view.width, view.height);
  pen.drawImage(map, ...[x + 0.5 - stepX / 2, y + 0.5 - stepY / 2, stepX * width, stepY * height].map((value) => value * scale));
}

const isWhole = (corner) => corner[2] === photo.width && corner[3] === photo.height;

function whole() { box = [0, 0, photo.width, photo.height]; return locate(); }

// Takes a picture or a frame of the camera, without what was found before.
function accept(source, width, height) {
  const smaller = Math.min(1, Math.sqrt(MOST / (width * height)));
  [photo.width, photo.height] = [width, height].map((side) => Math.max(1, Math.round(side * smaller)));
  pixels.drawImage(source, 0, 0, photo.width, photo.height);
  found = null;
  view.hidden = false; find("empty").hidden = true; find("whole").disabled = false;
  stage.classList.add("full");
  fit();
}

// Shows a picture (a Blob) and the joints in a box, by default all of it.
async function show(blob, where) {
  let bitmap;
  try { bitmap = await createImageBitmap(blob); } catch { say("the browser cannot read this as a picture"); return null; }
  stop();
  await queue; // of the camera's last frame
  accept(bitmap, bitmap.width, bitmap.height);
  box = where || [0, 0, photo.width, photo.height];
  say("looking …");
  return locate();
}

async function camera() {
  if (video) return stop();
  const mine = video = document.createElement("video");
  find("camera").textContent = "Stop the camera";
  try {
    mine.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    mine.muted = mine.playsInline = true;
    await mine.play();
  } catch (error) { stop(); say(`no camera: ${error.message}`); return; }
  let size = "";
  while (video === mine) {
    const { videoWidth, videoHeight } = mine;
    if (size !== `${videoWidth} ${videoHeight}`) { // at first, or when a phone is turned
      size = `${videoWidth} ${videoHeight}`;
      accept(mine, videoWidth, videoHeight);
      box = [0, 0, photo.width, photo.height];
    } else pixels.drawImage(mine, 0, 0, photo.width, photo.height);
    await locate();
    await new Promise(requestAnimationFrame);
  }
  mine.srcObject.getTracks().forEach((track) => track.stop());
}

function stop() {
  if (video && video.srcObject) video.srcObject.getTracks().forEach((track) => track.stop());
  video = null; find("camera").textContent = "Camera";
}

function pointOf(event) {
  const frame = view.getBoundingClientRect(), scale = photo.width / frame.width;
  const clip = (value, most) => Math.min(Math.max(value * scale, 0), most);
  return [clip(event.clientX - frame.left, photo.width), clip(event.clientY - frame.top, photo.height)];
}

view.onpointerdown = (event) => {
  if (event.button) return;
  try { view.setPointerCapture(event.pointerId); } catch { /* an event of a test has no pointer */ }
  drag = { start: pointOf(event), box: null };
};
view.onpointermove = (event) => {
  const [x, y] = pointOf(event);
  if (!drag) return nearest(x, y);
  const [u, v] = drag.start;
  drag.box = [Math.min(u, x), Math.min(v, y), Math.abs(x - u), Math.abs(y - v)];
  chosen = -1;
  draw();
};
view.onpointerup = (event) => {
  const drawn = drag && drag.box, least = Math.max(photo.width, photo.height) / 40;
  drag = null;
  if (drawn && Math.min(drawn[2], drawn[3]) > least) { box = drawn; found = null; draw(); if (!video) locate(); }
  else { nearest(...pointOf(event)); draw(); } // a tap
};
view.onpointercancel = () => { drag = null; draw(); };
view.onpointerleave = (event) => { if (event.pointerType === "mouse") choose(-1); };

function nearest(x, y) {
  if (!found) return;
  let best = -1, least = (Math.max(photo.width, photo.height) / 25) ** 2;
  for (let k = 0; k < found.scores.length; k++) {
    const apart = (found.joints[2 * k] + 0.5 - x) ** 2 + (found.joints[2 * k + 1] + 0.5 - y) ** 2;
    if (!found.missing[k] && apart < least) [best, least] = [k, apart];
  }
  choose(best);
}

const take = (files) => { if (session && files[0]) show(files[0]); };
find("file").onchange = (event) => { take(event.target.files); event.target.value = ""; };
find("whole").onclick = whole;
find("camera").onclick = camera;
window.onresize = fit;
document.ondragover = (event) => { event.preventDefault(); stage.classList.add("over"); };
document.ondragleave = () => stage.classList.remove("over");
document.ondrop = (event) => { event.preventDefault(); stage.classList.remove("over"); take(event.dataTransfer.files); };
document.onpaste = (event) => take(event.clipboardData.files);
window.show = show; // for tests, as window.answer is
try { await load(); window.ready = true; } catch (error) { find("empty").textContent = `The network cannot be loaded: ${error.message}`; }
