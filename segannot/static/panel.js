// The side panel: the list of birds, actions on the frame, propagation, engine.

import * as api from "./api.js";
import { app, busy, byId, element, frontToBack, goTo, lastFrame, listen, objects, origin, say, selected, set } from "./state.js";

const NUMBER_KEYS = 9;
const list = byId("birds");
const ORIGINS = { "hand-made": "drawn by hand", propagated: "propagated, unchecked", reviewed: "accepted" };
let drawnFor = "";
let suggesting = false;

export const actions = {
  add: () => api.change("object", { kind: "add" }),
  edit: (object, changes) => api.change("object", { kind: "edit", object, ...changes }),
  frame: (kind, more = {}) => api.change("frame", { frame: app.frame, kind, ...more }),
  undo: () => api.change("turn", { way: "undo" }),
  redo: () => api.change("turn", { way: "redo" }),
  propagate: (to) => api.change("propagate", { frame: app.frame, to, objects: objectsToPropagate() }),
  around: () => api.change("propagate", { frame: app.frame, objects: objectsToPropagate() }),
  task: (act) => api.control("task", { act }).catch(() => null),
  suggestFrame,
};

// null: all birds of the frame
function objectsToPropagate() {
  return byId("selected-only").checked && app.selected ? [app.selected] : null;
}

async function suggestFrame() {
  if (suggesting) return;
  suggesting = true;
  say("Searching for the most informative frame…");
  try {
    const { frame, reason } = await api.nextFrame();
    goTo(frame);
    say(`Frame ${frame}: ${reason}.`);
  } catch (error) {
    say(error.message, true);
  }
  suggesting = false;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

function toggle(object, property, on, off, title) {
  const button = element("button", { type: "button", className: object[property] ? "icon on" : "icon", title,
    ariaPressed: String(object[property]), ariaLabel: `${title}: ${object.name}` }, icon(object[property] ? on : off));
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    actions.edit(object.id, { [property]: !object[property] });
  });
  return button;
}

// One bird of the list; the first nine show the number key that selects them.
function row(object, index) {
  const number = element("kbd", { textContent: index < NUMBER_KEYS ? String(index + 1) : "", hidden: index >= NUMBER_KEYS });
  const name = element("input", { value: object.name, maxLength: 200, ariaLabel: "Name", spellcheck: false });
  name.addEventListener("change", () => name.value.trim() && actions.edit(object.id, { name: name.value.trim() }));
  name.addEventListener("focus", () => set({ selected: object.id }));
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    name.blur(); // the name is taken
    byId("view").focus();
  });
  const colour = element("input", { type: "color", value: object.colour, ariaLabel: `Colour of ${object.name}` });
  colour.addEventListener("change", () => actions.edit(object.id, { colour: colour.value }));
  const item = element("li", { data: { id: object.id }, className: object.id === app.selected ? "chosen" : "" }, number, colour, name,
    toggle(object, "hidden", "eye-off", "eye", "Hide or show"), toggle(object, "locked", "lock", "unlock", "Lock or unlock"));
  item.addEventListener("click", () => set({ selected: object.id }));
  return item;
}

// Whether a name in the list is being typed: the list must not be rebuilt then.
function isTyping() {
  const { activeElement } = document;
  return list.contains(activeElement) && activeElement.type !== "color" && activeElement.value !== activeElement.defaultValue;
}

function drawBirds() {
  const key = JSON.stringify([objects(), app.selected]);
  if (key === drawnFor || (drawnFor && isTyping())) return;
  drawnFor = key;
  list.replaceChildren(...frontToBack().map(row));
  byId("no-birds").hidden = objects().length > 0;
  byId("bird-details").hidden = !selected();
  if (!selected()) return;
  byId("bird-class").value = selected().class;
  const others = objects().filter((object) => object.id !== app.selected);
  const first = element("option", { value: "", textContent: "Merge with…" });
  byId("merge").replaceChildren(first, ...others.map((object) => element("option", { value: object.id, textContent: object.name })));
  const classes = [...new Set(objects().map((object) => object.class))];
  byId("classes").replaceChildren(...classes.map((value) => element("option", { value })));
}

function drawFrame() {
  const kind = origin(app.frame);
  byId("origin").textContent = kind ? ORIGINS[kind] : "no outlines yet";
  byId("origin").className = kind ?? "none";
  byId("accept").disabled = kind !== "propagated";
  for (const id of ["specks", "clear", "forward", "backward", "propagate-to"]) byId(id).disabled = !kind || busy();
  byId("copy").disabled = app.frame === 0 || !origin(app.frame - 1) || busy();
  byId("propose").disabled = Boolean(engine("detector")?.reason) || busy();
  byId("propose").title = engine("detector")?.reason || "Outline the birds that your trained model detects in this frame";
  const beside = [app.frame - 1, app.frame + 1].some((frame) => origin(frame) === "propagated");
  byId("around").disabled = !(kind && kind !== "propagated" && beside) || busy();
}

function drawTask() {
  const task = app.server.task;
  byId("task").hidden = !task || (!busy() && task.state !== "failed");
  if (!task) return;
  const remaining = task.rate && busy() ? `, ${Math.ceil((task.total - task.done) / task.rate)} s left` : "";
  const state = task.state === "paused" ? "Paused" : "Propagating";
  byId("task-words").textContent = task.state === "failed" ? `Failed: ${task.problem}`
    : `${state}: ${task.done} of ${task.total} frames${remaining}`;
  byId("task-bar").max = Math.max(1, task.total);
  byId("task-bar").value = task.done;
  byId("pause").textContent = task.state === "paused" ? "Resume" : "Pause";
  byId("pause").hidden = byId("stop").hidden = !busy();
}

function engine(name) {
  return app.server.engines.find((entry) => entry.name === name);
}

function drawEngines() {
  const select = byId("engine");
  if (select.options.length === 0) {
    for (const { name, title, reason } of app.server.engines.filter((entry) => entry.name !== "detector")) {
      select.append(element("option", { value: name, textContent: title, disabled: Boolean(reason) }));
    }
  }
  select.value = app.server.engine;
  const missing = app.server.engines.filter((entry) => entry.reason);
  byId("engine-why").replaceChildren(...missing.map(({ title, reason }) => element("span", { textContent: `${title}: ${reason}.` })));
}

listen(() => {
  if (app.selected !== null && !selected()) app.selected = null;
  if (app.selected === null && objects().length) app.selected = objects().at(-1).id;
  drawBirds();
  drawFrame();
  drawTask();
  drawEngines();
});

const clicks = {
  add: actions.add, accept: () => actions.frame("review"), copy: () => actions.frame("copy"), specks: () => actions.frame("specks"),
  clear: () => actions.frame("clear"), propose: () => actions.frame("propose"), around: actions.around,
  forward: () => actions.propagate(lastFrame()), backward: () => actions.propagate(0),
  "propagate-to": () => byId("to").reportValidity() && actions.propagate(Number(byId("to").value)),
  pause: () => actions.task(app.server.task.state === "paused" ? "resume" : "pause"), stop: () => actions.task("stop"),
  front: () => api.change("object", { kind: "front", object: app.selected }),
  back: () => api.change("object", { kind: "back", object: app.selected }),
  "clear-bird": () => actions.frame("clear", { object: app.selected }),
  delete: () => api.change("object", { kind: "delete", object: app.selected }),
};
for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
byId("bird-class").addEventListener("change", (event) => {
  const value = event.target.value.trim();
  if (value) actions.edit(app.selected, { class_name: value });
});
byId("merge").addEventListener("change", (event) => {
  if (event.target.value) api.change("object", { kind: "merge", object: app.selected, into: Number(event.target.value) });
});
byId("engine").addEventListener("change", (event) => {
  api.control("engine", { engine: event.target.value }).catch((error) => (byId("engine-why").textContent = error.message));
});
byId("follow").addEventListener("change", (event) => set({ follow: event.target.checked }));
byId("task").addEventListener("dblclick", () => goTo(app.server.task.frame));
