// One to four synchronised views side by side: this video at other times, or other cameras of the same lek.

import * as api from "./api.js";
import { app, byId, clock, element, listen, set } from "./state.js";
import { prefetch, usefulWidth } from "../shared/frame_cache.js";
import { Screen } from "./screen.js";
import * as view from "./view.js";

const MAX_VIEWS = 4;
const STORAGE_KEY = `board-players ${location.pathname}`;
const OWN = { video: "", name: "this video" };

let others = []; // the project's other videos
const settings = restored(); // {layout, places: [{video, shift}]}; shift in s
const players = Array.from({ length: MAX_VIEWS - 1 }, (_, k) => player(k));

function restored() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY));
    if (stored?.places?.length === MAX_VIEWS - 1) return stored;
  } catch {
    // the defaults
  }
  return { layout: 1, places: Array.from({ length: MAX_VIEWS - 1 }, (_, k) => ({ video: "", shift: k + 1 })) };
}

function save() {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(settings));
  } catch {
    // no storage: kept until the page is closed
  }
  set({});
}

function player(k) {
  const place = settings.places[k];
  const canvas = element("canvas", { ariaLabel: `View ${k + 2}` });
  const choice = element("select", { ariaLabel: `Video in view ${k + 2}` });
  const shift = element("input", { type: "number", step: "0.04", value: place.shift, ariaLabel: `Offset of view ${k + 2} in seconds` });
  const caption = element("span");
  const head = element("div", { className: "head" }, choice, element("label", {}, shift, "s later"), caption);
  const figure = element("section", { className: "player-beside", hidden: true }, head, canvas);
  byId("players").append(figure);
  choice.addEventListener("change", () => {
    place.video = choice.value;
    if (place.video) shift.value = place.shift = 0; // another camera at the same moment
    save();
  });
  shift.addEventListener("change", () => {
    place.shift = Number(shift.value) || 0;
    shift.value = place.shift;
    save();
  });
  const screen = new Screen(canvas, () => source(place), (drawn) => overlay(drawn, place));
  let dragging = false;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    dragging = true;
  });
  canvas.addEventListener("pointermove", (event) => dragging && screen.view.pan(event.movementX, event.movementY));
  canvas.addEventListener("pointerup", () => (dragging = false));
  return { place, figure, choice, shift, caption, screen };
}

// The frame of a view that belongs to the main view's frame; null where that video was not recording.
function source({ video, shift }) {
  const own = app.server.video;
  const other = others.find((candidate) => candidate.video === video);
  const source = other ?? own;
  const seconds = app.frame / own.fps + shift - (other?.late_s ?? 0);
  const frame = Math.round(seconds * source.fps);
  return { video: source, frame: frame < 0 || frame >= source.frames ? null : frame, path: other ? `others/${video}/` : "" };
}

function overlay({ view: { paper, scale }, frame }, { video }) {
  if (!video) view.drawOverlay(paper, frame, 1 / scale);
}

// "fit", "zoom" or "pan" all views; the wheel zooms only the one under the pointer.
export function allViews(act, ...values) {
  view[act](...values);
  for (const { figure, screen } of players) if (!figure.hidden) screen.view[act](...values);
}

// Whether all views show their frame: the player then goes on.
export function areCurrent() {
  return players.every(({ figure, screen }) => figure.hidden || screen.isCurrent());
}

export function readAhead(direction) {
  for (const { figure, screen, place } of players) {
    if (figure.hidden) continue;
    const { video, frame, path } = source(place);
    if (frame !== null) prefetch(frame, usefulWidth(screen.view.scale, video), direction, path, video.frames - 1);
  }
}

export function layout(number) {
  settings.layout = number;
  byId("layout").value = String(number);
  if (number > 1) load();
  save();
}

export function nextLayout() {
  layout((settings.layout % MAX_VIEWS) + 1);
}

// Focus the settings of the other views; Tab leads on from there.
export function focusViews() {
  if (settings.layout === 1) layout(2);
  players[0].figure.hidden = false;
  players[0].choice.focus();
}

async function load() {
  try {
    others = (await api.json("others")).videos;
    for (const { choice, place } of players) {
      choice.replaceChildren(...[OWN, ...others].map(({ name, video }) => new Option(name, video)));
      if (!others.some(({ video }) => video === place.video)) place.video = "";
      choice.value = place.video;
    }
    set({});
  } catch {
    // asked again with the next layout
  }
}

function captionOf({ place, screen }) {
  const { video, frame } = source(place);
  if (frame === null) return "not recorded at this time";
  const unknown = place.video && others.find((candidate) => candidate.video === place.video)?.late_s === null;
  const proxy = !screen.exact && !app.playing && video.quick ? ", proxy…" : "";
  return `frame ${frame}${place.video ? "" : `, ${clock(frame)}`}${unknown ? ", start time unknown: set the offset" : ""}${proxy}`;
}

listen(() => {
  byId("players").dataset.layout = settings.layout;
  players.forEach((view, k) => {
    view.figure.hidden = k >= settings.layout - 1;
    if (view.figure.hidden) return;
    view.screen.update();
    view.caption.textContent = captionOf(view);
  });
});

byId("layout").value = String(settings.layout);
byId("layout").addEventListener("change", (event) => layout(Number(event.target.value)));
if (settings.layout > 1) load();
