// All keyboard shortcuts in one table: action, key, and their line in the dialog, where each key can be changed.

import * as api from "./api.js";
import { isAuditing, judge } from "./audit.js";
import { apply, cancel } from "./change_preview.js";
import { corrections, cycle, nameByKey } from "./corrections.js";
import { answer, step as stepCard, unsure } from "./doubt_cards.js";
import { nextRun } from "./lanes.js";
import { allViews, focusViews, nextLayout } from "./players.js";
import { showTab } from "./tabs.js";
import { app, byId, element, goTo, lastFrame, say, set } from "./state.js";
import { INTERPOLATED, LOST } from "./tracks.js";

const STORE = "board-keys";
const ANSWERS = ["keep", "swap", "chosen", "unsure"];
const help = byId("help");

const step = (by) => () => {
  set({ playing: 0 });
  goTo(app.frame + by);
};
const jump = (find) => () => {
  const frame = find();
  if (frame === null || frame === undefined) return say("No more in this direction");
  set({ playing: 0 });
  goTo(frame);
};
const doubt = (direction, kind) => jump(() => {
  const moments = app.server.moments.filter((moment) => !kind || moment[1] === kind);
  const starts = moments.map(([, , from]) => from).sort((a, b) => a - b);
  return direction > 0 ? starts.find((frame) => frame > app.frame) : starts.findLast((frame) => frame < app.frame);
});
const play = (direction) => () => set({ playing: app.playing === direction ? 0 : direction });
const faster = (by) => () => set({ speed: Math.min(8, Math.max(0.125, app.speed * by)) });
const toggle = (layer) => () => set({ show: { ...app.show, [layer]: !app.show[layer] } });

// [group, name, description, key, action]; the names stand in the browser's storage; a key is event.key in lower case with "ctrl+", "alt+" and "shift+" before it
const TABLE = [
  ["Doubt", "keep", "keep: the names are right", "k", () => (isAuditing() ? judge("right") : answer("keep"))],
  ["Doubt", "swap", "swap: the names are exchanged from here on", "s", () => (isAuditing() ? judge("wrong") : answer("swap"))],
  ["Doubt", "chosen", "as selected below the images", "d", () => answer("chosen")],
  ["Doubt", "unsure", "unsure: cannot be decided", "u", () => (isAuditing() ? judge("unsure") : unsure())],
  ["Doubt", "next", "next doubt (skip this one)", "n", () => stepCard(1)],
  ["Doubt", "previous", "previous doubt", "p", () => stepCard(-1)],
  ["Play", "play", "play, pause", " ", play(1)],
  ["Play", "back", "play backward, pause", "shift+ ", play(-1)],
  ["Play", "slower", "slower", ",", faster(0.5)],
  ["Play", "faster", "faster", ".", faster(2)],
  ["Navigate", "left", "1 frame back", "arrowleft", step(-1)],
  ["Navigate", "right", "1 frame forward", "arrowright", step(1)],
  ["Navigate", "left10", "10 frames back", "shift+arrowleft", step(-10)],
  ["Navigate", "right10", "10 frames forward", "shift+arrowright", step(10)],
  ["Navigate", "left100", "100 frames back", "alt+arrowleft", step(-100)],
  ["Navigate", "right100", "100 frames forward", "alt+arrowright", step(100)],
  ["Navigate", "first", "first frame", "home", () => goTo(0)],
  ["Navigate", "last", "last frame", "end", () => goTo(lastFrame())],
  ["Jump", "doubt", "next doubt in time", "]", doubt(1)],
  ["Jump", "doubt-back", "previous doubt in time", "[", doubt(-1)],
  ["Jump", "crossing", "next crossing", "c", doubt(1, "crossing")],
  ["Jump", "gap", "next gap of the selected (or any) bird", "g", jump(() => nextRun(INTERPOLATED, 1))],
  ["Jump", "lost", "where it is lost next", "l", jump(() => nextRun(LOST, 1))],
  ["Bird", "bird", "select the next bird in view", "tab", () => cycle(1)],
  ["Bird", "bird-back", "select the previous one", "shift+tab", () => cycle(-1)],
  ["Bird", "swap-with", "swap with another bird", "x", corrections.swap],
  ["Bird", "split", "split: another bird from here on", "/", corrections.split],
  ["Bird", "link", "link to the track it came back as", "i", corrections.link],
  ["Bird", "lost-here", "not visible here", "o", corrections.lost],
  ["Bird", "no-bird", "not a bird", "delete", corrections.not_a_bird],
  ["Bird", "draw", "draw its mask or box", "b", corrections.draw],
  ["Bird", "reviewed", "mark as reviewed", "r", corrections.reviewed],
  ["Change", "do", "apply the previewed change", "enter", apply],
  ["Change", "cancel", "cancel", "escape", cancel],
  ["Change", "undo", "undo (unlimited)", "ctrl+z", () => api.turn("undo")],
  ["Change", "redo", "redo", "ctrl+y", () => api.turn("redo")],
  ["View", "masks", "masks", "m", toggle("masks")],
  ["View", "boxes", "boxes", "shift+b", toggle("boxes")],
  ["View", "names", "names", "shift+n", toggle("names")],
  ["View", "trails", "trails", "t", toggle("trails")],
  ["View", "zones", "zones", "z", toggle("zones")],
  ["View", "layout", "1 to 4 views side by side", "v", nextLayout],
  ["View", "players", "set what the other views show", "shift+v", focusViews],
  ["View", "in", "zoom in", "+", () => allViews("zoom", 1.25)],
  ["View", "out", "zoom out", "-", () => allViews("zoom", 0.8)],
  ["View", "fit", "fit the whole frame", "0", () => allViews("fit")],
  ["View", "up", "pan up", "arrowup", () => allViews("pan", 0, 60)],
  ["View", "down", "pan down", "arrowdown", () => allViews("pan", 0, -60)],
  ["View", "tab1", "tab Doubts", "f1", () => showTab("doubts")],
  ["View", "tab2", "tab Birds", "f2", () => showTab("birds")],
  ["View", "tab3", "tab Audit", "f3", () => showTab("audit")],
  ["View", "help", "this panel", "?", () => (help.open ? help.close() : help.showModal())],
].map(([group, name, description, key, action]) => ({ group, name, description, key, action }));

let own = restored(); // name -> key, where the reviewer changed it
let changing = null; // the entry whose new key is awaited

function restored() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}

function keyOf(entry) {
  return own[entry.name] ?? entry.key;
}

const SYMBOLS = { arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", " ": "Space", escape: "Esc", delete: "Delete" };
// A key as displayed.
function label(key) {
  const parts = key.split(/\+(?=.)/);
  const last = parts.pop();
  const symbol = SYMBOLS[last] ?? (last.length === 1 ? last.toUpperCase() : last[0].toUpperCase() + last.slice(1));
  return [...parts.map((part) => part[0].toUpperCase() + part.slice(1)), symbol].join(" ");
}

// The key of an event as the table writes it.
function keyOfEvent(event) {
  const key = event.key.toLowerCase();
  const shifts = event.shiftKey && (/^[a-z]$/.test(key) || key.length > 1 || key === " ");
  return `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.altKey ? "alt+" : ""}${shifts ? "shift+" : ""}${key}`;
}

function drawTable() {
  const groups = [...new Set(TABLE.map(({ group }) => group))];
  byId("keys").replaceChildren(...groups.map((group) =>
    element("section", {}, element("h3", { textContent: group }), element("dl", {}, ...TABLE.filter((entry) => entry.group === group).flatMap((entry) => {
      const button = element("button", { type: "button", textContent: changing === entry ? "press a key" : label(keyOf(entry)), title: "Click, then press the new key" });
      button.addEventListener("click", () => {
        changing = entry;
        drawTable();
      });
      return [element("dt", {}, button), element("dd", { textContent: entry.description })];
    }))),
  ));
}

function change(key) {
  const taken = TABLE.find((entry) => entry !== changing && keyOf(entry) === key);
  if (taken) own[taken.name] = keyOf(changing); // the two exchange their keys
  own[changing.name] = key;
  changing = null;
  try {
    localStorage.setItem(STORE, JSON.stringify(own));
  } catch {
    // no storage: kept until the page is closed
  }
  drawTable();
}

byId("keys-reset").addEventListener("click", () => {
  own = {};
  localStorage.removeItem(STORE);
  drawTable();
});
byId("help-button").addEventListener("click", () => help.showModal());
byId("help-close").addEventListener("click", () => help.close());
help.addEventListener("close", () => (changing = null));
drawTable();

function typing(target) {
  return target.tagName === "SELECT" || target.tagName === "TEXTAREA" || (target.tagName === "INPUT" && !["range", "checkbox"].includes(target.type));
}

document.addEventListener("keydown", (event) => {
  if (!app.server || ["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
  const key = keyOfEvent(event);
  if (changing) {
    event.preventDefault();
    if (key !== "escape") change(key);
    else {
      changing = null;
      drawTable();
    }
    return;
  }
  if (typing(event.target)) {
    if (key === "escape") event.target.blur();
    return;
  }
  const entry = TABLE.find((candidate) => keyOf(candidate) === key);
  if (help.open && entry?.name !== "help") return;
  const onButton = event.target.tagName === "BUTTON" || event.target.tagName === "A";
  if (onButton && (key === "enter" || key === " ") && !app.preview) return; // the button's own key
  if (entry) {
    event.preventDefault();
    if (!(event.repeat && ANSWERS.includes(entry.name))) entry.action(); // a key held down must not answer doubts unseen
  } else if (/^[1-9]$/.test(key)) nameByKey(Number(key));
});
