// The queue of doubts: one card at a time, its birds before and after, a loop of three seconds, and the keys to answer.

import * as api from "./api.js";
import { app, byId, clock, element, goTo, listen, say, set } from "./state.js";
import { maskAt, rowsOf } from "./tracks.js";
import { drawOverlay } from "./view.js";

const KINDS = {
  crossing: "Birds met", gap: "Out of sight", jump: "A long way in no time", duplicate: "Two tracks on one bird",
  low_identity: "Looks like several birds",
};
const LOOP_WIDTH = 440;
const CROP = 150; // CSS px of a bird's picture

let queue = [];
let version = -1;
let loaded = false; // the queue is that of `version`
let place = 0; // in the queue
let showing = 0; // counts the cards asked for
const skipped = new Set();
const sent = new Set(); // doubts whose answer waits for the server
let card = null; // the one on the screen
let seen = null; // the doubt whose card has stood there with its words
let ahead = null; // the next card, fetched before it is wanted
let told = {}; // previews by key: keep, swap, chosen
let second = false;
const loops = new Map(); // doubt -> promise of [{frame, bitmap}]
let loop = { pictures: [], at: 0, next: 0 };

async function load() {
  const wanted = (version = app.server.version);
  try {
    const answer = await api.json(`queue${second ? "?second=1" : ""}`);
    if (version !== wanted) return; // a newer one is under way
    const left = answer.doubts.filter((each) => !sent.has(each.doubt));
    const later = (each) => skipped.has(each.doubt);
    queue = [...left.filter((each) => !later(each)), ...left.filter(later)];
    place = Math.min(place, Math.max(0, queue.length - 1));
    loaded = true;
    await show();
  } catch {
    version = -1; // the next change or pulse tries again
  }
}

async function show() {
  const entry = queue[place];
  if (!entry) {
    showing += 1;
    card = null;
    set({});
    return;
  }
  if (card?.doubt === entry.doubt && card.version === app.server.version) return lookAtBoth();
  const moved = card?.doubt !== entry.doubt;
  const mine = ++showing;
  const isHere = ahead?.doubt === entry.doubt && ahead.version === app.server.version;
  const found = isHere ? ahead : await api.json(`doubts/${entry.doubt}`);
  if (mine !== showing) return; // another one was asked for meanwhile
  card = found;
  told = {};
  if (moved) {
    goTo(card.from);
    if (!card.before.length) set({ selected: card.after[0]?.track ?? null }); // number keys then say who it is
    loop = { pictures: [], at: 0, next: 0 };
    startLoop(card);
  }
  drawBirds();
  set({});
  await lookAtBoth();
  if (mine !== showing) return;
  const after = queue[place + 1];
  if (!after) return;
  pictures(after.doubt).catch(() => null); // read ahead
  ahead = await api.json(`doubts/${after.doubt}`).catch(() => null);
}

function assignment(key) {
  if (key === "keep") return card.followed;
  if (key === "swap") return card.after.length === 2 && card.before.length === 2 ? [...card.followed].reverse() : card.followed.map(() => -1);
  const chosen = [...document.querySelectorAll("#after select")].map((each) => Number(each.value));
  return chosen.length ? chosen : card.followed;
}

function request(key, to = "end") {
  return { kind: "answer", doubt: card.doubt, assignment: assignment(key), to, why: byId("why").value };
}

async function lookAtBoth() {
  for (const key of ["keep", "swap"]) if (told[key]?.version !== app.server.version) await look(key);
}

// What an answer would change, as the server knows it now.
async function look(key) {
  const { doubt } = card;
  await api.settled(); // while a decision is under way the server's version is ahead of ours
  if (card?.doubt !== doubt) return;
  const version = app.server.version;
  const found = await api.preview(request(key)).catch((error) => ({ words: [], problem: error.message, version }));
  if (card?.doubt !== doubt) return;
  if (version !== app.server.version) return look(key);
  told[key] = found;
  set({});
}

// Whether there is a card to answer. A key for one that was not seen yet is not kept: it would be an answer to nothing.
function isSeen() {
  if (card && seen === card.doubt) return true;
  const busy = card || queue.length || !loaded || api.pending().length;
  say(busy ? "Not taken: the next doubt is not shown yet" : "No doubt is open");
  return false;
}

export async function answer(key) {
  if (!isSeen()) return;
  const { doubt } = card;
  if (key === "chosen") await look(key);
  while (card?.doubt === doubt && told[key]?.version !== app.server.version) await look(key);
  if (card?.doubt !== doubt) return;
  const answer = told[key];
  if (answer.problem) {
    say(answer.problem, true);
    return;
  }
  api.decide(request(key), answer);
  leave();
}

export async function unsure() {
  if (!isSeen()) return;
  const ask = { kind: "unsure", doubt: card.doubt, why: byId("why").value };
  await api.settled();
  const preview = await api.preview(ask).catch(() => null);
  if (!preview || card?.doubt !== ask.doubt) return;
  api.decide(ask, preview);
  leave();
}

// The answered card makes room at once; the server's answer brings the new queue.
function leave() {
  byId("why").value = "";
  sent.add(card.doubt);
  const at = queue.findIndex((each) => each.doubt === card.doubt);
  if (at >= 0) queue.splice(at, 1);
  if (at >= 0 && at < place) place -= 1; // another one was asked for meanwhile
  card = null;
  set({});
  if (place >= queue.length) place = 0;
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
  place = (place + by + queue.length) % queue.length;
  show().catch(() => null);
}

export function open(doubt) {
  const found = queue.findIndex((each) => each.doubt === doubt);
  if (found >= 0) {
    place = found;
    show().catch(() => null);
  }
}

function crop({ frame, box, identity, track, colour }, others, followed, number) {
  const canvas = element("canvas", { width: CROP * 2, height: CROP * 2, title: `frame ${frame}` });
  const name = identity ?? (track ? `track ${track}` : "no longer tracked");
  const figure = element("figure", {}, canvas, element("figcaption", {}, element("i"), element("span", { textContent: name })));
  figure.querySelector("i").style.background = colour;
  if (others?.length) {
    const choices = others.map((bird, k) => new Option(bird.identity ?? `track ${bird.track}`, k));
    const select = element("select", { title: `Which bird is this? (${number})` }, ...choices, new Option("another bird", -1));
    select.value = String(followed);
    select.addEventListener("change", () => look("chosen"));
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
  const part = [x, y, Math.max(1, Math.round(side)), Math.max(1, Math.round(side))];
  try {
    const picture = await api.picture(frame, 2 * CROP, part);
    const paper = canvas.getContext("2d");
    paper.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const scale = canvas.width / side;
    paper.strokeStyle = colour;
    paper.lineWidth = 4;
    paper.strokeRect((box[0] - x) * scale, (box[1] - y) * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale);
  } catch {
    // the name stands below; the loop shows the bird
  }
}

function drawBirds() {
  byId("before").replaceChildren(...card.before.map((bird) => crop(bird)));
  byId("after").replaceChildren(...card.after.map((bird, k) => crop(bird, card.before, card.followed[k], k + 1)));
}

// the loop

function pictures(doubt) {
  if (!loops.has(doubt)) {
    const promise = api.bytes(`loops/${doubt}?width=${LOOP_WIDTH}`).then(async (data) => {
      const found = [];
      for (let at = 0; at < data.byteLength; ) {
        const [frame, length] = new Uint32Array(data.slice(at, at + 8));
        found.push({ frame, bitmap: await createImageBitmap(new Blob([data.slice(at + 8, at + 8 + length)])) });
        at += 8 + length;
      }
      return found;
    });
    promise.catch(() => loops.delete(doubt));
    loops.set(doubt, promise);
    if (loops.size > 4) loops.delete(loops.keys().next().value);
  }
  return loops.get(doubt);
}

async function startLoop(shown) {
  try {
    const found = await pictures(shown.doubt);
    if (card?.doubt !== shown.doubt) return;
    loop = { pictures: found, at: 0, next: 0 };
    rowsOf(shown.loop.first).catch(() => null);
    for (const { frame } of found) maskAt(frame);
  } catch {
    // the player shows the moment as well
  }
}

function tick(now) {
  if (card && loop.pictures.length && now >= loop.next && !byId("doubts").hidden) {
    const { frame, bitmap } = loop.pictures[loop.at];
    const last = loop.at === loop.pictures.length - 1;
    const gap = last ? 12 : loop.pictures[loop.at + 1].frame - frame;
    loop.next = now + (1000 * gap) / app.server.video.fps;
    loop.at = last ? 0 : loop.at + 1;
    paintLoop(frame, bitmap);
  }
  requestAnimationFrame(tick);
}

function paintLoop(frame, bitmap) {
  const canvas = byId("loop");
  const [x, y, width, height] = card.loop.crop;
  const wide = canvas.clientWidth * devicePixelRatio;
  Object.assign(canvas, { width: wide, height: Math.round((wide * height) / width) });
  const paper = canvas.getContext("2d");
  const scale = canvas.width / width;
  paper.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  paper.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
  drawOverlay(paper, frame, devicePixelRatio / scale, true);
  paper.setTransform(1, 0, 0, 1, 0, 0);
  const { first, last } = card.loop;
  const at = (each) => ((each - first) / Math.max(1, last - first)) * canvas.width;
  paper.fillStyle = "#ffffff60";
  paper.fillRect(0, canvas.height - 6, canvas.width, 6);
  paper.fillStyle = "#f0a04b";
  paper.fillRect(at(card.from), canvas.height - 6, Math.max(4, at(card.to) - at(card.from)), 6);
  paper.fillStyle = "#ffffff";
  paper.fillRect(at(frame) - 2, canvas.height - 10, 4, 10);
}

function words(key) {
  const answer = told[key];
  if (!answer) return "…";
  return answer.problem || answer.words.join("; ");
}

function draw() {
  if (version !== app.server.version) load();
  const { all, open: left } = app.server.doubts;
  byId("queue-state").textContent = all ? `${all - left} of ${all} done` : "";
  byId("coming").hidden = Boolean(card) || !queue.length;
  byId("done").hidden = Boolean(card) || queue.length > 0 || !loaded || version !== app.server.version || api.pending().length > 0;
  byId("done").textContent = all ? "Every doubt is answered. Audit a few random moments to know what is left." : "Tracking left no doubts in this video.";
  byId("card").hidden = !card;
  if (!card) return;
  byId("card").dataset.doubt = card.doubt;
  byId("card-kind").textContent = KINDS[card.kind] ?? card.kind;
  const percent = Math.round(100 * card.p_error);
  byId("card-facts").textContent = `${place + 1} of ${queue.length}, frame ${card.from} (${clock(card.from)}), ${percent} % unsure, ${card.effect_s} s at stake`;
  const others = card.answers.map((each) => `${each.who}${each.sure ? "" : " (unsure)"}`);
  byId("card-others").textContent = others.length ? `Answered by ${others.join(", ")}` : "";
  byId("keep-words").textContent = words("keep");
  if (told.keep) seen = card.doubt;
  byId("swap-words").textContent = words("swap");
  byId("swap-title").textContent = card.after.length === 2 && card.before.length === 2 ? "Swap" : "Not the same";
  byId("keep").disabled = Boolean(told.keep?.problem);
  byId("swap").hidden = !card.before.length;
  byId("card-who").hidden = Boolean(card.before.length);
  byId("swap").disabled = !card.after.length || Boolean(told.swap?.problem);
  const many = card.after.length > 2;
  byId("chosen").hidden = !many && !told.chosen;
  byId("chosen-words").textContent = words("chosen");
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
