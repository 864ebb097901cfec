// All keyboard shortcuts in one table: key, action, and its line in the dialog.

import { cancel, closePolygon, held } from "./tools.js";
import { actions } from "./panel.js";
import { app, busy, byId, element, frontToBack, goTo, labelledFrames, lastFrame, origin, set, uncertainFrames } from "./state.js";
import { fit, zoom } from "./view.js";

const help = byId("help");
const step = (by) => () => {
  set({ playing: 0 });
  goTo(app.frame + by);
};
const second = (direction) => () => step(direction * Math.round(app.server.video.fps))();
const neighbour = (frames, direction) => () => {
  const next = direction > 0 ? frames().find((frame) => frame > app.frame) : frames().findLast((frame) => frame < app.frame);
  if (next !== undefined) goTo(next);
};
const tool = (name) => () => {
  cancel();
  set({ tool: name });
};

// [group, keys as displayed, description, key, action]; key is event.key in lower case with "ctrl+" and "shift+" before it
const TABLE = [
  ["Draw", "S", "scribble: a line on the bird gives its outline", "s", tool("scribble")],
  ["Draw", "C", "click on the bird", "c", tool("click")],
  ["Draw", "B", "box around the bird", "b", tool("box")],
  ["Draw", "D", "brush: paint the mask by hand", "d", tool("brush")],
  ["Draw", "E", "eraser", "e", tool("eraser")],
  ["Draw", "G", "polygon; Enter or a double-click closes it", "g", tool("polygon")],
  ["Draw", "Shift or right button", "exclude, with any tool: not part of the bird", null, null],
  ["Draw", "X", "switch between include and exclude", "x", () => set({ negative: !app.negative })],
  ["Draw", "[ ]", "smaller, larger brush", "[", () => set({ radius: Math.max(1, app.radius / 1.25) })],
  ["", "", "", "]", () => set({ radius: Math.min(400, app.radius * 1.25) })],
  ["Draw", "Esc", "cancel the current stroke", "escape", cancel],
  ["", "", "", "enter", closePolygon],
  ["Birds", "A", "add a bird", "a", actions.add],
  ["Birds", "1 … 9", "select the bird in that row; Alt+click selects the one under the pointer", null, null],
  ["Birds", "O", "show or hide all outlines", "o", () => set({ outlines: !app.outlines })],
  ["Birds", "Delete", "remove the selected bird from this frame", "delete", () => actions.frame("clear", { object: app.selected })],
  ["Frame", "R", "accept the propagated outlines", "r", () => origin(app.frame) === "propagated" && actions.frame("review")],
  ["Frame", "K", "copy the outlines of the previous frame", "k", () => actions.frame("copy")],
  ["Frame", "Ctrl+Z, Ctrl+Y", "undo, redo; unlimited, also after a restart", "ctrl+z", actions.undo],
  ["", "", "", "ctrl+y", actions.redo],
  ["", "", "", "ctrl+shift+z", actions.redo],
  ["Propagate", "F", "forward to the next labelled frame or the end", "f", () => actions.propagate(lastFrame())],
  ["Propagate", "Shift+F", "backward to the previous labelled frame or the start", "shift+f", () => actions.propagate(0)],
  ["Propagate", "W", "re-propagate around this correction", "w", actions.around],
  ["Propagate", "P", "pause or resume", "p", () => busy() && actions.task(app.server.task.state === "paused" ? "resume" : "pause")],
  ["Navigate", "← →", "one frame; with Shift, ten", "arrowleft", step(-1)],
  ["", "", "", "arrowright", step(1)],
  ["", "", "", "shift+arrowleft", step(-10)],
  ["", "", "", "shift+arrowright", step(10)],
  ["Navigate", "Page up, Page down", "one second", "pageup", second(-1)],
  ["", "", "", "pagedown", second(1)],
  ["Navigate", "Home, End", "first, last frame", "home", () => goTo(0)],
  ["", "", "", "end", () => goTo(lastFrame())],
  ["Navigate", "J L", "previous, next labelled frame", "j", neighbour(labelledFrames, -1)],
  ["", "", "", "l", neighbour(labelledFrames, 1)],
  ["Navigate", "U", "next uncertain frame", "u", neighbour(uncertainFrames, 1)],
  ["Navigate", "N", "suggest a frame to label", "n", actions.suggestFrame],
  ["Navigate", "Space", "play, pause; hold to pan", null, null],
  ["View", "Wheel, + −", "zoom", "+", () => zoom(1.25)],
  ["", "", "", "-", () => zoom(0.8)],
  ["View", "0", "fit the whole frame", "0", fit],
  ["View", "H", "this panel", "h", () => (help.open ? help.close() : help.showModal())],
];
const ACTIONS = new Map(TABLE.filter(([, , , key]) => key).map(([, , , key, action]) => [key, action]));

for (const group of [...new Set(TABLE.map(([name]) => name))].filter(Boolean)) {
  const rows = TABLE.filter(([name]) => name === group).flatMap(([, keys, description]) => [
    element("dt", { textContent: keys }),
    element("dd", { textContent: description }),
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
    const bird = frontToBack()[Number(key) - 1];
    if (bird) set({ selected: bird.id });
  } else if (ACTIONS.has(key)) {
    event.preventDefault();
    ACTIONS.get(key)();
  }
});
document.addEventListener("keyup", (event) => {
  if (event.key !== " " || !held.space) return;
  held.space = false;
  if (!held.moved) set({ playing: app.playing ? 0 : 1 });
});
