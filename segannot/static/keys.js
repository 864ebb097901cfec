// All keys in one table: what it does and what the help says of it.

import { cancel, closePolygon, held } from "./tools.js";
import { acts } from "./panel.js";
import { app, busy, byId, doubtful, element, goTo, labelled, lastFrame, objects, origin, set } from "./state.js";
import { fit, zoom } from "./view.js";

const help = byId("help");
const step = (by) => () => {
  set({ playing: 0 });
  goTo(app.frame + by);
};
const second = (way) => () => step(way * Math.round(app.server.video.fps))();
const neighbour = (frames, way) => () => {
  const found = way > 0 ? frames().find((each) => each > app.frame) : frames().findLast((each) => each < app.frame);
  if (found !== undefined) goTo(found);
};
const tool = (name) => () => {
  cancel();
  set({ tool: name });
};
export let proposeNext = () => null;
export function onProposeNext(act) {
  proposeNext = act;
}

// [group, keys as people read them, what it does, key, act]; key is event.key in lower case with "Ctrl+" and "Shift+"
const TABLE = [
  ["Draw", "S", "scribble: a line on the bird, and its outline appears", "s", tool("scribble")],
  ["Draw", "C", "click on the bird", "c", tool("click")],
  ["Draw", "B", "box around the bird", "b", tool("box")],
  ["Draw", "D", "brush: paint to the pixel", "d", tool("brush")],
  ["Draw", "E", "eraser", "e", tool("eraser")],
  ["Draw", "G", "polygon; Enter or double click closes it", "g", tool("polygon")],
  ["Draw", "Shift or right button", "“this is not the bird”, with every tool", null, null],
  ["Draw", "X", "switch between bird and not the bird", "x", () => set({ negative: !app.negative })],
  ["Draw", "[ ]", "smaller, larger brush", "[", () => set({ radius: Math.max(1, app.radius / 1.25) })],
  ["", "", "", "]", () => set({ radius: Math.min(400, app.radius * 1.25) })],
  ["Draw", "Esc", "drop what is being drawn", "escape", cancel],
  ["", "", "", "enter", closePolygon],
  ["Birds", "A", "add a bird", "a", acts.add],
  ["Birds", "1 … 9", "choose a bird; Alt and click chooses the one under the pointer", null, null],
  ["Birds", "O", "show or hide all outlines", "o", () => set({ outlines: !app.outlines })],
  ["Birds", "Delete", "take the chosen bird's outline off this frame", "delete", () => acts.frame("clear", { object: app.selected })],
  ["Frame", "R", "accept what was carried here", "r", () => origin(app.frame) === "propagated" && acts.frame("review")],
  ["Frame", "K", "copy the outlines of the frame before", "k", () => acts.frame("copy")],
  ["Frame", "Ctrl+Z, Ctrl+Y", "undo, redo; without limit, also tomorrow", "ctrl+z", acts.undo],
  ["", "", "", "ctrl+y", acts.redo],
  ["", "", "", "ctrl+shift+z", acts.redo],
  ["Carry on", "F", "forward to the next labelled frame or the end", "f", () => acts.carry(lastFrame())],
  ["Carry on", "Shift+F", "backward", "shift+f", () => acts.carry(0)],
  ["Carry on", "W", "put right the frames around a correction", "w", acts.around],
  ["Carry on", "P", "pause or go on", "p", () => busy() && acts.task(app.server.task.state === "paused" ? "resume" : "pause")],
  ["Go", "← →", "one frame; with Shift ten", "arrowleft", step(-1)],
  ["", "", "", "arrowright", step(1)],
  ["", "", "", "shift+arrowleft", step(-10)],
  ["", "", "", "shift+arrowright", step(10)],
  ["Go", "Page up, Page down", "one second", "pageup", second(-1)],
  ["", "", "", "pagedown", second(1)],
  ["Go", "Home, End", "first, last frame", "home", () => goTo(0)],
  ["", "", "", "end", () => goTo(lastFrame())],
  ["Go", "J L", "labelled frame before, after", "j", neighbour(labelled, -1)],
  ["", "", "", "l", neighbour(labelled, 1)],
  ["Go", "U", "next doubtful frame", "u", neighbour(doubtful, 1)],
  ["Go", "N", "next frame to label", "n", () => proposeNext()],
  ["Go", "Space", "play, stop; held down: move the picture", null, null],
  ["Look", "Wheel, + −", "zoom", "+", () => zoom(1.25)],
  ["", "", "", "-", () => zoom(0.8)],
  ["Look", "0", "whole picture", "0", fit],
  ["Look", "H", "this help", "h", () => (help.open ? help.close() : help.showModal())],
];
const ACTS = new Map(TABLE.filter(([, , , key]) => key).map(([, , , key, act]) => [key, act]));

for (const group of [...new Set(TABLE.map(([name]) => name))].filter(Boolean)) {
  const rows = TABLE.filter(([name]) => name === group).flatMap(([, keys, words]) => [
    element("dt", { textContent: keys }),
    element("dd", { textContent: words }),
  ]);
  byId("keys").append(element("section", {}, element("h3", { textContent: group }), element("dl", {}, ...rows)));
}
byId("help-button").addEventListener("click", () => help.showModal());
byId("help-close").addEventListener("click", () => help.close());

function typing(target) {
  return target.tagName === "SELECT" || (target.tagName === "INPUT" && !["range", "checkbox", "color"].includes(target.type));
}

document.addEventListener("keydown", (event) => {
  if (!app.server || typing(event.target) || event.altKey) return;
  if (event.key === " ") {
    event.preventDefault();
    if (!event.repeat) Object.assign(held, { space: true, moved: false });
    return;
  }
  if (help.open && event.key.toLowerCase() !== "h") return;
  const key = `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.shiftKey && event.key.length > 0 && /[a-z]|arrow/i.test(event.key) ? "shift+" : ""}${event.key.toLowerCase()}`;
  if (/^[1-9]$/.test(key)) {
    const found = [...objects()].sort((a, b) => b.order - a.order)[Number(key) - 1];
    if (found) set({ selected: found.id });
  } else if (ACTS.has(key)) {
    event.preventDefault();
    ACTS.get(key)();
  }
});
document.addEventListener("keyup", (event) => {
  if (event.key !== " " || !held.space) return;
  held.space = false;
  if (!held.moved) set({ playing: app.playing ? 0 : 1 });
});
