// The queue of doubts: one card at a time, with its birds before and after, a three-second clip, and the answers.

import * as api from "./api.js";
import { app, byId, clock, element, goTo, listen, say, set } from "./state.js";
import { maskAt, rowsOf } from "./tracks.js";
import { drawOverlay } from "./view.js";

const KINDS = {
  crossing: "Birds crossed", gap: "Out of sight", jump: "Sudden jump", duplicate: "Two tracks on one bird",
  low_identity: "Uncertain identity",
};
const LOOP_WIDTH = 440;
const LOOP_PAUSE = 12; // frames between two rounds of a loop
const MAX_LOOPS = 4;
const CROP = 150; // CSS px of a bird's image

let queue = [];
let version = -1; // of the log that the queue was requested for
let loaded = false; // the queue has arrived
let index = 0; // in the queue
let requests = 0; // cards requested; only the newest is displayed
const skipped = new Set();
const sent = new Set(); // doubts whose answer is not saved yet
let card = null; // on the screen
let readable = null; // the doubt whose card has been displayed with the effect of "keep"
let nextCard = null; // fetched in advance
let previews = {}; // of the answers keep, swap, chosen
let second = false;
const loops = new Map(); // doubt -> promise of [{frame, bitmap}]
let loop = { frames: [], index: 0, due: 0 };

async function load() {
  const requested = (version = app.server.version);
  try {
    const answer = await api.json(`queue${second ? "?second=1" : ""}`);
    if (version !== requested) return; // a newer one has been requested
    const left = answer.doubts.filter(({ doubt }) => !sent.has(doubt));
    const isSkipped = ({ doubt }) => skipped.has(doubt);
    queue = [...left.filter((entry) => !isSkipped(entry)), ...left.filter(isSkipped)];
    index = Math.min(index, Math.max(0, queue.length - 1));
    loaded = true;
    await show();
  } catch {
    version = -1; // the next change or pulse tries again
  }
}

async function show() {
  const entry = queue[index];
  if (!entry) {
    requests += 1;
    card = null;
    set({});
    return;
  }
  if (card?.doubt === entry.doubt && card.version === app.server.version) return previewAnswers();
  const moved = card?.doubt !== entry.doubt;
  const mine = ++requests;
  const isFetched = nextCard?.doubt === entry.doubt && nextCard.version === app.server.version;
  const received = isFetched ? nextCard : await api.json(`doubts/${entry.doubt}`);
  if (mine !== requests) return; // another one has been requested
  card = received;
  previews = {};
  if (moved) {
    goTo(card.from);
    if (!card.before.length) set({ selected: card.after[0]?.track ?? null }); // number keys then name it
    loop = { frames: [], index: 0, due: 0 };
    startLoop(card);
  }
  drawBirds();
  set({});
  await previewAnswers();
  if (mine !== requests) return;
  const after = queue[index + 1];
  if (!after) return;
  loopFrames(after.doubt).catch(() => null); // in advance
  nextCard = await api.json(`doubts/${after.doubt}`).catch(() => null);
}

// For each bird after the doubt, the index of the same bird before it; -1: none of them.
function assignment(key) {
  if (key === "keep") return card.followed;
  if (key === "swap") return card.after.length === 2 && card.before.length === 2 ? [...card.followed].reverse() : card.followed.map(() => -1);
  const selected = [...document.querySelectorAll("#after select")].map(({ value }) => Number(value));
  return selected.length ? selected : card.followed;
}

function request(key, to = "end") {
  return { kind: "answer", doubt: card.doubt, assignment: assignment(key), to, why: byId("why").value };
}

async function previewAnswers() {
  for (const key of ["keep", "swap"]) if (previews[key]?.version !== app.server.version) await previewAnswer(key);
}

// Ask the server what an answer would change.
async function previewAnswer(key) {
  const { doubt } = card;
  await api.settled(); // while a change is being saved, the server's version is ahead of ours
  if (card?.doubt !== doubt) return;
  const version = app.server.version;
  const preview = await api.preview(request(key)).catch((error) => ({ words: [], problem: error.message, version }));
  if (card?.doubt !== doubt) return;
  if (version !== app.server.version) return previewAnswer(key);
  previews[key] = preview;
  set({});
}

// Whether there is a card to answer. A key pressed before the card is displayed is ignored.
function canAnswer() {
  if (card && readable === card.doubt) return true;
  const busy = card || queue.length || !loaded || api.pending().length;
  say(busy ? "Ignored: the next doubt is not displayed yet" : "No open doubts");
  return false;
}

export async function answer(key) {
  if (!canAnswer()) return;
  const { doubt } = card;
  if (key === "chosen") await previewAnswer(key);
  while (card?.doubt === doubt && previews[key]?.version !== app.server.version) await previewAnswer(key);
  if (card?.doubt !== doubt) return;
  const preview = previews[key];
  if (preview.problem) return say(preview.problem, true);
  api.decide(request(key), preview);
  leave();
}

export async function unsure() {
  if (!canAnswer()) return;
  const answer = { kind: "unsure", doubt: card.doubt, why: byId("why").value };
  await api.settled();
  const preview = await api.preview(answer).catch(() => null);
  if (!preview || card?.doubt !== answer.doubt) return;
  api.decide(answer, preview);
  leave();
}

// Go on at once; the server's answer brings the new queue.
function leave() {
  byId("why").value = "";
  sent.add(card.doubt);
  const answered = queue.findIndex(({ doubt }) => doubt === card.doubt);
  if (answered >= 0) queue.splice(answered, 1);
  if (answered >= 0 && answered < index) index -= 1; // another one has been requested
  card = null;
  set({});
  if (index >= queue.length) index = 0;
  show().catch(() => null);
}

api.on("done", (entry) => sent.delete(entry.body.doubt));
api.on("refused", (message, entry) => {
  sent.delete(entry.body.doubt);
  version = -1;
  set({});
});

export function step(by) {
  if (!queue.length) return;
  if (by > 0 && card) skipped.add(card.doubt);
  index = (index + by + queue.length) % queue.length;
  show().catch(() => null);
}

// A bird's image with its name; with ``others``, the birds before the doubt, also a choice of which one it is.
function figureOf({ frame, box, identity, track, colour }, others, followed, number) {
  const canvas = element("canvas", { width: CROP * 2, height: CROP * 2, title: `frame ${frame}` });
  const name = identity ?? (track ? `track ${track}` : "no longer tracked");
  const figure = element("figure", {}, canvas, element("figcaption", {}, element("i"), element("span", { textContent: name })));
  figure.querySelector("i").style.background = colour;
  if (others?.length) {
    const choices = others.map((bird, k) => new Option(bird.identity ?? `track ${bird.track}`, k));
    const select = element("select", { title: `Which of the birds before is bird ${number}?` }, ...choices, new Option("another bird", -1));
    select.value = String(followed);
    select.addEventListener("change", () => previewAnswer("chosen"));
    figure.append(select);
  }
  if (box) paintCrop(canvas, frame, box, colour);
  return figure;
}

async function paintCrop(canvas, frame, box, colour) {
  const { width, height } = app.server.video;
  const side = Math.min(width, height, Math.max(box[2] - box[0], box[3] - box[1]) * 1.4);
  const x = Math.round(Math.min(Math.max(0, (box[0] + box[2] - side) / 2), width - side));
  const y = Math.round(Math.min(Math.max(0, (box[1] + box[3] - side) / 2), height - side));
  const crop = [x, y, Math.max(1, Math.round(side)), Math.max(1, Math.round(side))];
  try {
    const bitmap = await api.croppedFrame(frame, 2 * CROP, crop);
    const paper = canvas.getContext("2d");
    paper.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const scale = canvas.width / side;
    paper.strokeStyle = colour;
    paper.lineWidth = 4;
    paper.strokeRect((box[0] - x) * scale, (box[1] - y) * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale);
  } catch {
    // the name is still there, and the clip shows the bird
  }
}

function drawBirds() {
  byId("before").replaceChildren(...card.before.map((bird) => figureOf(bird)));
  byId("after").replaceChildren(...card.after.map((bird, k) => figureOf(bird, card.before, card.followed[k], k + 1)));
}

// the loop

function loopFrames(doubt) {
  if (!loops.has(doubt)) {
    const promise = api.bytes(`loops/${doubt}?width=${LOOP_WIDTH}`).then(async (data) => {
      const frames = [];
      for (let offset = 0; offset < data.byteLength; ) {
        const [frame, length] = new Uint32Array(data.slice(offset, offset + 8));
        frames.push({ frame, bitmap: await createImageBitmap(new Blob([data.slice(offset + 8, offset + 8 + length)])) });
        offset += 8 + length;
      }
      return frames;
    });
    promise.catch(() => loops.delete(doubt));
    loops.set(doubt, promise);
    if (loops.size > MAX_LOOPS) loops.delete(loops.keys().next().value);
  }
  return loops.get(doubt);
}

async function startLoop({ doubt, loop: { first } }) {
  try {
    const frames = await loopFrames(doubt);
    if (card?.doubt !== doubt) return;
    loop = { frames, index: 0, due: 0 };
    rowsOf(first).catch(() => null);
    for (const { frame } of frames) maskAt(frame);
  } catch {
    // the main view shows the moment, too
  }
}

function tick(now) {
  if (card && loop.frames.length && now >= loop.due && !byId("doubts").hidden) {
    const { frame, bitmap } = loop.frames[loop.index];
    const isLast = loop.index === loop.frames.length - 1;
    const gap = isLast ? LOOP_PAUSE : loop.frames[loop.index + 1].frame - frame;
    loop.due = now + (1000 * gap) / app.server.video.fps;
    loop.index = isLast ? 0 : loop.index + 1;
    paintLoop(frame, bitmap);
  }
  requestAnimationFrame(tick);
}

function paintLoop(frame, bitmap) {
  const canvas = byId("loop");
  const [x, y, width, height] = card.loop.crop;
  const shownWidth = canvas.clientWidth * devicePixelRatio;
  Object.assign(canvas, { width: shownWidth, height: Math.round((shownWidth * height) / width) });
  const paper = canvas.getContext("2d");
  const scale = canvas.width / width;
  paper.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  paper.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
  drawOverlay(paper, frame, devicePixelRatio / scale, true);
  paper.setTransform(1, 0, 0, 1, 0, 0);
  const { first, last } = card.loop;
  const xOf = (k) => ((k - first) / Math.max(1, last - first)) * canvas.width;
  paper.fillStyle = "#ffffff60";
  paper.fillRect(0, canvas.height - 6, canvas.width, 6);
  paper.fillStyle = "#f0a04b";
  paper.fillRect(xOf(card.from), canvas.height - 6, Math.max(4, xOf(card.to) - xOf(card.from)), 6);
  paper.fillStyle = "#ffffff";
  paper.fillRect(xOf(frame) - 2, canvas.height - 10, 4, 10);
}

// What an answer would change, for its button.
function effectOf(key) {
  const preview = previews[key];
  if (!preview) return "…";
  return preview.problem || preview.words.join("; ");
}

function draw() {
  if (version !== app.server.version) load();
  const { all, open: left } = app.server.doubts;
  byId("queue-state").textContent = all ? `${all - left} of ${all} done` : "";
  byId("coming").hidden = Boolean(card) || !queue.length;
  byId("done").hidden = Boolean(card) || queue.length > 0 || !loaded || version !== app.server.version || api.pending().length > 0;
  byId("done").textContent = all ? "All doubts are answered. Audit some random moments to estimate the errors that are left." : "Tracking left no doubts in this video.";
  byId("card").hidden = !card;
  if (!card) return;
  byId("card").dataset.doubt = card.doubt;
  byId("card-kind").textContent = KINDS[card.kind] ?? card.kind;
  byId("card-index").textContent = `${index + 1} of ${queue.length} open`;
  const percent = Math.round(100 * card.p_error);
  byId("card-facts").textContent = `Frame ${card.from} (${clock(card.from)}), ${percent} % error risk, affects ${card.effect_s} s`;
  const others = card.answers.map(({ who, sure }) => `${who}${sure ? "" : " (unsure)"}`);
  byId("card-others").textContent = others.length ? `Answered by ${others.join(", ")}` : "";
  byId("keep-words").textContent = effectOf("keep");
  if (previews.keep) readable = card.doubt;
  byId("swap-words").textContent = effectOf("swap");
  byId("swap-title").textContent = card.after.length === 2 && card.before.length === 2 ? "Swap" : "Another bird";
  byId("keep").disabled = Boolean(previews.keep?.problem);
  byId("swap").hidden = !card.before.length;
  byId("card-who").hidden = Boolean(card.before.length);
  byId("swap").disabled = !card.after.length || Boolean(previews.swap?.problem);
  const many = card.after.length > 2;
  byId("chosen").hidden = !many && !previews.chosen;
  byId("chosen-words").textContent = effectOf("chosen");
}

byId("second").addEventListener("change", (event) => {
  second = event.target.checked;
  version = -1;
  set({});
});
for (const key of ["keep", "swap", "chosen"]) byId(key).addEventListener("click", () => answer(key));
byId("unsure").addEventListener("click", unsure);
byId("next").addEventListener("click", () => step(1));
byId("previous").addEventListener("click", () => step(-1));
byId("show-moment").addEventListener("click", () => card && goTo(card.from));
listen(draw);
requestAnimationFrame(tick);
