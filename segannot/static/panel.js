// The right side: birds, what can be done with the frame, and carrying outlines on.

import * as api from "./api.js";
import { app, busy, byId, element, goTo, lastFrame, listen, objects, origin, selected, set } from "./state.js";

const list = byId("birds");
const ORIGINS = { "hand-made": "drawn by you", propagated: "carried, not looked at yet", reviewed: "looked at and accepted" };
let drawnFor = "";

export const acts = {
  add: () => api.change("object", { kind: "add" }),
  edit: (object, changes) => api.change("object", { kind: "edit", object, ...changes }),
  frame: (kind, more = {}) => api.change("frame", { frame: app.frame, kind, ...more }),
  undo: () => api.change("turn", { way: "undo" }),
  redo: () => api.change("turn", { way: "redo" }),
  carry: (to) => api.change("propagate", { frame: app.frame, to, objects: chosenOnly() }),
  around: () => api.change("propagate", { frame: app.frame, objects: chosenOnly() }),
  task: (act) => api.control("task", { act }).catch(() => null),
};

function chosenOnly() {
  return byId("only-chosen").checked && app.selected ? [app.selected] : null;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

function toggle(each, what, on, off, title) {
  const button = element("button", { type: "button", className: each[what] ? "icon on" : "icon", title,
    ariaPressed: String(each[what]), ariaLabel: `${title}: ${each.name}` }, icon(each[what] ? on : off));
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    acts.edit(each.id, { [what]: !each[what] });
  });
  return button;
}

function row(each) {
  const name = element("input", { value: each.name, maxLength: 200, ariaLabel: "Name", spellcheck: false });
  name.addEventListener("change", () => name.value.trim() && acts.edit(each.id, { name: name.value.trim() }));
  name.addEventListener("focus", () => set({ selected: each.id }));
  const colour = element("input", { type: "color", value: each.colour, ariaLabel: `Colour of ${each.name}` });
  colour.addEventListener("change", () => acts.edit(each.id, { colour: colour.value }));
  const made = element("li", { data: { id: each.id }, className: each.id === app.selected ? "chosen" : "" }, colour, name,
    toggle(each, "hidden", "eye-off", "eye", "Hide or show"), toggle(each, "locked", "lock", "unlock", "Lock or unlock"));
  made.addEventListener("click", () => set({ selected: each.id }));
  return made;
}

function drawBirds() {
  const key = JSON.stringify([objects(), app.selected]);
  if (key === drawnFor || list.contains(document.activeElement) && document.activeElement.type !== "color" && drawnFor
    && document.activeElement.value !== document.activeElement.defaultValue) return; // do not take a name away while it is typed
  drawnFor = key;
  const front = [...objects()].sort((a, b) => b.order - a.order);
  list.replaceChildren(...front.map(row));
  byId("no-birds").hidden = objects().length > 0;
  byId("bird-details").hidden = !selected();
  if (!selected()) return;
  byId("bird-class").value = selected().class;
  const others = objects().filter((each) => each.id !== app.selected);
  const first = element("option", { value: "", textContent: "Merge with…" });
  byId("merge").replaceChildren(first, ...others.map((each) => element("option", { value: each.id, textContent: each.name })));
  byId("classes").replaceChildren(...[...new Set(objects().map((each) => each.class))].map((value) => element("option", { value })));
}

function drawFrame() {
  const kind = origin(app.frame);
  byId("origin").textContent = kind ? ORIGINS[kind] : "no outlines yet";
  byId("origin").className = kind ?? "none";
  byId("accept").disabled = kind !== "propagated";
  for (const id of ["specks", "clear", "forward", "backward", "carry-to"]) byId(id).disabled = !kind || busy();
  byId("copy").disabled = app.frame === 0 || !origin(app.frame - 1) || busy();
  byId("propose").disabled = Boolean(engine("detector")?.reason) || busy();
  byId("propose").title = engine("detector")?.reason ?? "";
  const beside = [app.frame - 1, app.frame + 1].some((frame) => origin(frame) === "propagated");
  byId("around").disabled = !(kind && kind !== "propagated" && beside) || busy();
}

function drawTask() {
  const task = app.server.task;
  byId("task").hidden = !task || (!busy() && task.state !== "failed");
  if (!task) return;
  const left = task.rate && busy() ? `, ${Math.ceil((task.total - task.done) / task.rate)} s left` : "";
  const words = { running: "Carrying on", paused: "Paused", failed: task.problem };
  byId("task-words").textContent = `${words[task.state] ?? ""}: ${task.done} of ${task.total} frames${left}`;
  if (task.state === "failed") byId("task-words").textContent = `It failed: ${task.problem}`;
  byId("task-bar").max = Math.max(1, task.total);
  byId("task-bar").value = task.done;
  byId("pause").textContent = task.state === "paused" ? "Go on" : "Pause";
  byId("pause").hidden = byId("stop").hidden = !busy();
}

function engine(name) {
  return app.server.engines.find((each) => each.name === name);
}

function drawEngines() {
  const select = byId("engine");
  if (select.options.length === 0) {
    for (const each of app.server.engines.filter((one) => one.name !== "detector")) {
      select.append(element("option", { value: each.name, textContent: each.title, disabled: Boolean(each.reason) }));
    }
  }
  select.value = app.server.engine;
  const missing = app.server.engines.filter((each) => each.reason);
  byId("engine-why").textContent = missing.map((each) => `${each.title}: ${each.reason}.`).join(" ");
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
  add: acts.add, accept: () => acts.frame("review"), copy: () => acts.frame("copy"), specks: () => acts.frame("specks"),
  clear: () => acts.frame("clear"), propose: () => acts.frame("propose"), around: acts.around,
  forward: () => acts.carry(lastFrame()), backward: () => acts.carry(0),
  "carry-to": () => byId("to").reportValidity() && acts.carry(Number(byId("to").value)),
  pause: () => acts.task(app.server.task.state === "paused" ? "resume" : "pause"), stop: () => acts.task("stop"),
  front: () => api.change("object", { kind: "front", object: app.selected }),
  back: () => api.change("object", { kind: "back", object: app.selected }),
  "clear-bird": () => acts.frame("clear", { object: app.selected }),
  delete: () => api.change("object", { kind: "delete", object: app.selected }),
};
for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
byId("bird-class").addEventListener("change", (event) => {
  const value = event.target.value.trim();
  if (value) acts.edit(app.selected, { class_name: value });
});
byId("merge").addEventListener("change", (event) => {
  if (event.target.value) api.change("object", { kind: "merge", object: app.selected, into: Number(event.target.value) });
});
byId("engine").addEventListener("change", (event) => {
  api.control("engine", { engine: event.target.value }).catch((error) => (byId("engine-why").textContent = error.message));
});
byId("follow").addEventListener("change", (event) => set({ follow: event.target.checked }));
byId("task").addEventListener("dblclick", () => goTo(app.server.task.frame));
