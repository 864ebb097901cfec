// All keys in one table: what each does, and what the help says of it. Every one can be changed in the help.

import * as api from "./api.js";
import { acts, cancel, confirm, cycle, isAuditing, verdict } from "./acts.js";
import { answer, step as stepCard, unsure } from "./cards.js";
import { nextStretch } from "./lanes.js";
import { focusPlayers, nextLayout, together } from "./players.js";
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
  const found = find();
  if (found === null || found === undefined) return say("There is none further on");
  set({ playing: 0 });
  goTo(found);
};
const moment = (way, kind) => jump(() => {
  const starts = app.server.moments.filter((each) => !kind || each[1] === kind).map((each) => each[2]).sort((a, b) => a - b);
  return way > 0 ? starts.find((each) => each > app.frame) : starts.findLast((each) => each < app.frame);
});
const play = (way) => () => set({ playing: app.playing === way ? 0 : way });
const faster = (by) => () => set({ speed: Math.min(8, Math.max(0.125, app.speed * by)) });
const toggle = (what) => () => set({ show: { ...app.show, [what]: !app.show[what] } });

// [group, name, what it does, key, act]; a key is event.key in lower case with "ctrl+", "alt+" and "shift+" before it
const TABLE = [
  ["Doubt", "keep", "keep: tracking is right", "k", () => (isAuditing() ? verdict("right") : answer("keep"))],
  ["Doubt", "swap", "swap: the birds have each other's names from here on", "s", () => (isAuditing() ? verdict("wrong") : answer("swap"))],
  ["Doubt", "chosen", "as chosen below the pictures", "d", () => answer("chosen")],
  ["Doubt", "unsure", "unsure: it cannot be told", "u", () => (isAuditing() ? verdict("unsure") : unsure())],
  ["Doubt", "next", "next doubt, this one later", "n", () => stepCard(1)],
  ["Doubt", "previous", "doubt before", "p", () => stepCard(-1)],
  ["Play", "play", "play, stop", " ", play(1)],
  ["Play", "back", "play backward, stop", "shift+ ", play(-1)],
  ["Play", "slower", "slower", ",", faster(0.5)],
  ["Play", "faster", "faster", ".", faster(2)],
  ["Go", "left", "1 frame back", "arrowleft", step(-1)],
  ["Go", "right", "1 frame on", "arrowright", step(1)],
  ["Go", "left10", "10 frames back", "shift+arrowleft", step(-10)],
  ["Go", "right10", "10 frames on", "shift+arrowright", step(10)],
  ["Go", "left100", "100 frames back", "alt+arrowleft", step(-100)],
  ["Go", "right100", "100 frames on", "alt+arrowright", step(100)],
  ["Go", "first", "first frame", "home", () => goTo(0)],
  ["Go", "last", "last frame", "end", () => goTo(lastFrame())],
  ["Jump", "doubt", "next doubt in time", "]", moment(1)],
  ["Jump", "doubt-back", "doubt before in time", "[", moment(-1)],
  ["Jump", "crossing", "next crossing", "c", moment(1, "crossing")],
  ["Jump", "gap", "next gap of the chosen bird, or of any", "g", jump(() => nextStretch(INTERPOLATED, 1))],
  ["Jump", "lost", "where it is next lost", "l", jump(() => nextStretch(LOST, 1))],
  ["Bird", "bird", "choose the next bird in the picture", "tab", () => cycle(1)],
  ["Bird", "bird-back", "choose the one before", "shift+tab", () => cycle(-1)],
  ["Bird", "swap-with", "swap the chosen bird with another", "x", acts.swap],
  ["Bird", "split", "split: from here on it is another bird", "/", acts.split],
  ["Bird", "link", "link: where did it come back?", "i", acts.link],
  ["Bird", "lost-here", "it is not seen here", "o", acts.lost],
  ["Bird", "no-bird", "this is not a bird", "delete", acts.not_a_bird],
  ["Bird", "draw", "draw its mask or box", "b", acts.draw],
  ["Bird", "reviewed", "mark as reviewed", "r", acts.reviewed],
  ["Act", "do", "do what is shown", "enter", confirm],
  ["Act", "cancel", "leave it", "escape", cancel],
  ["Act", "undo", "undo, without limit", "ctrl+z", () => api.turn("undo")],
  ["Act", "redo", "redo", "ctrl+y", () => api.turn("redo")],
  ["Look", "masks", "masks", "m", toggle("masks")],
  ["Look", "boxes", "boxes", "shift+b", toggle("boxes")],
  ["Look", "names", "names", "shift+n", toggle("names")],
  ["Look", "trails", "trails", "t", toggle("trails")],
  ["Look", "zones", "zones", "z", toggle("zones")],
  ["Look", "layout", "one to four pictures side by side", "v", nextLayout],
  ["Look", "players", "choose what the pictures beside show", "shift+v", focusPlayers],
  ["Look", "in", "zoom in", "+", () => together("zoom", 1.25)],
  ["Look", "out", "zoom out", "-", () => together("zoom", 0.8)],
  ["Look", "fit", "whole picture", "0", () => together("fit")],
  ["Look", "up", "move the picture up", "arrowup", () => together("pan", 0, 60)],
  ["Look", "down", "move the picture down", "arrowdown", () => together("pan", 0, -60)],
  ["Look", "tab1", "doubts", "f1", () => showTab("doubts")],
  ["Look", "tab2", "birds", "f2", () => showTab("birds")],
  ["Look", "tab3", "audit and history", "f3", () => showTab("audit")],
  ["Look", "help", "this help", "?", () => (help.open ? help.close() : help.showModal())],
].map(([group, name, words, key, act]) => ({ group, name, words, key, act }));

let own = restored();
let changing = null;

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

const SIGNS = { arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", " ": "Space", escape: "Esc", delete: "Delete" };
function said(key) {
  const parts = key.split(/\+(?=.)/);
  const last = parts.pop();
  const sign = SIGNS[last] ?? (last.length === 1 ? last.toUpperCase() : last[0].toUpperCase() + last.slice(1));
  return [...parts.map((each) => each[0].toUpperCase() + each.slice(1)), sign].join(" ");
}

function pressed(event) {
  const key = event.key.toLowerCase();
  const shifts = event.shiftKey && (/^[a-z]$/.test(key) || key.length > 1 || key === " ");
  return `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.altKey ? "alt+" : ""}${shifts ? "shift+" : ""}${key}`;
}

function table() {
  const groups = [...new Set(TABLE.map((each) => each.group))];
  byId("keys").replaceChildren(...groups.map((group) =>
    element("section", {}, element("h3", { textContent: group }), element("dl", {}, ...TABLE.filter((each) => each.group === group).flatMap((entry) => {
      const button = element("button", { type: "button", textContent: changing === entry ? "press a key" : said(keyOf(entry)), title: "Change this key" });
      button.addEventListener("click", () => {
        changing = entry;
        table();
      });
      return [element("dt", {}, button), element("dd", { textContent: entry.words })];
    }))),
  ));
}

function change(key) {
  const taken = TABLE.find((each) => each !== changing && keyOf(each) === key);
  if (taken) own[taken.name] = keyOf(changing); // the two exchange their keys
  own[changing.name] = key;
  changing = null;
  try {
    localStorage.setItem(STORE, JSON.stringify(own));
  } catch {
    // the keys hold until the page is closed
  }
  table();
}

byId("keys-reset").addEventListener("click", () => {
  own = {};
  localStorage.removeItem(STORE);
  table();
});
byId("help-button").addEventListener("click", () => help.showModal());
byId("help-close").addEventListener("click", () => help.close());
help.addEventListener("close", () => (changing = null));
table();

function typing(target) {
  return target.tagName === "SELECT" || target.tagName === "TEXTAREA" || (target.tagName === "INPUT" && !["range", "checkbox"].includes(target.type));
}

document.addEventListener("keydown", (event) => {
  if (!app.server || ["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
  const key = pressed(event);
  if (changing) {
    event.preventDefault();
    if (key !== "escape") change(key);
    else {
      changing = null;
      table();
    }
    return;
  }
  if (typing(event.target)) {
    if (key === "escape") event.target.blur();
    return;
  }
  const entry = TABLE.find((each) => keyOf(each) === key);
  if (help.open && entry?.name !== "help") return;
  const onButton = event.target.tagName === "BUTTON" || event.target.tagName === "A";
  if (onButton && (key === "enter" || key === " ") && !app.asking) return; // the button's own key
  if (entry) {
    event.preventDefault();
    if (!(event.repeat && ANSWERS.includes(entry.name))) entry.act(); // a key held down would answer what nobody looked at
  } else if (/^[1-9]$/.test(key) && app.server.birds[key - 1]) {
    acts.name(app.server.birds[key - 1].name);
  }
});
