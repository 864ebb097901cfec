// One to four pictures side by side that go together: this video at other times, or other cameras of the same lek.

import * as api from "./api.js";
import { app, byId, clock, element, listen, set } from "./state.js";
import { prefetch, usefulWidth } from "../shared/pictures.js";
import { Screen } from "./screen.js";
import * as view from "./view.js";

const MOST = 4;
const KEPT = `board-players ${location.pathname}`;
const OWN = { video: "", name: "this video" };

let others = []; // videos of the project beside the board's own
const kept = restored();
const players = Array.from({ length: MOST - 1 }, (_, k) => player(k));

function restored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT));
    if (found?.places?.length === MOST - 1) return found;
  } catch {
    // as they came
  }
  return { layout: 1, places: Array.from({ length: MOST - 1 }, (_, k) => ({ video: "", shift: k + 1 })) };
}

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // it holds until the page is closed
  }
  set({});
}

function player(k) {
  const place = kept.places[k];
  const canvas = element("canvas", { ariaLabel: `Picture ${k + 2}` });
  const choice = element("select", { ariaLabel: `What picture ${k + 2} shows` });
  const shift = element("input", { type: "number", step: "0.04", value: place.shift, ariaLabel: `Seconds later, picture ${k + 2}` });
  const words = element("span");
  const head = element("div", { className: "head" }, choice, element("label", {}, shift, "s later"), words);
  const figure = element("section", { className: "player-beside", hidden: true }, head, canvas);
  byId("players").append(figure);
  choice.addEventListener("change", () => {
    place.video = choice.value;
    if (place.video) shift.value = place.shift = 0; // another camera at the same moment
    keep();
  });
  shift.addEventListener("change", () => {
    place.shift = Number(shift.value) || 0;
    shift.value = place.shift;
    keep();
  });
  const screen = new Screen(canvas, () => source(place), (drawn) => overlay(drawn, place));
  let pull = false;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pull = true;
  });
  canvas.addEventListener("pointermove", (event) => pull && screen.view.pan(event.movementX, event.movementY));
  canvas.addEventListener("pointerup", () => (pull = false));
  return { place, figure, choice, shift, words, screen };
}

// The frame of a place that belongs to the frame in the large picture; null where that video has none.
function source({ video, shift }) {
  const own = app.server.video;
  const other = others.find((each) => each.video === video);
  const shown = other ?? own;
  const seconds = app.frame / own.fps + shift - (other?.late_s ?? 0);
  const frame = Math.round(seconds * shown.fps);
  return { video: shown, frame: frame < 0 || frame >= shown.frames ? null : frame, where: other ? `others/${video}/` : "" };
}

function overlay({ view: { paper, scale }, frame }, { video }) {
  if (!video) view.drawOverlay(paper, frame, 1 / scale);
}

// "fit", "zoom" or "pan" all pictures: keys take them together, a wheel the one below it.
export function together(act, ...values) {
  view[act](...values);
  for (const { figure, screen } of players) if (!figure.hidden) screen.view[act](...values);
}

// Whether all pictures show what they should: the player then goes on.
export function areHere() {
  return players.every(({ figure, screen }) => figure.hidden || screen.isHere());
}

export function readAhead(way) {
  for (const { figure, screen, place } of players) {
    if (figure.hidden) continue;
    const { video, frame, where } = source(place);
    if (frame !== null) prefetch(frame, usefulWidth(screen.view.scale, video), way, where, video.frames - 1);
  }
}

export function layout(number) {
  kept.layout = number;
  byId("layout").value = String(number);
  if (number > 1) load();
  keep();
}

export function nextLayout() {
  layout((kept.layout % MOST) + 1);
}

// Go to what the pictures beside show; from there Tab leads on.
export function focusPlayers() {
  if (kept.layout === 1) layout(2);
  players[0].figure.hidden = false;
  players[0].choice.focus();
}

async function load() {
  try {
    others = (await api.json("others")).videos;
    for (const { choice, place } of players) {
      choice.replaceChildren(...[OWN, ...others].map((each) => new Option(each.name, each.video)));
      if (!others.some((each) => each.video === place.video)) place.video = "";
      choice.value = place.video;
    }
    set({});
  } catch {
    // choosing another layout asks again
  }
}

function said({ place, screen }) {
  const { video, frame } = source(place);
  if (frame === null) return "not filmed then";
  const unknown = place.video && others.find((each) => each.video === place.video)?.late_s === null;
  const small = !screen.exact && !app.playing && video.quick ? ", small copy…" : "";
  return `frame ${frame}${place.video ? "" : `, ${clock(frame)}`}${unknown ? ", start times unknown: set the seconds" : ""}${small}`;
}

listen(() => {
  byId("players").dataset.layout = kept.layout;
  players.forEach((each, k) => {
    each.figure.hidden = k >= kept.layout - 1;
    if (each.figure.hidden) return;
    each.screen.update();
    each.words.textContent = said(each);
  });
});

byId("layout").value = String(kept.layout);
byId("layout").addEventListener("change", (event) => layout(Number(event.target.value)));
if (kept.layout > 1) load();
