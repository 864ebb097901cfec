// Puts the parts together: connection, top line, player.

import * as api from "./api.js";
import { app, busy, goTo, lastFrame, listen, set } from "./state.js";
import { forgetMasks, here, mask, prefetch, usefulWidth } from "./pictures.js";
import { fit, scale, shownFrame } from "./view.js";
import { cancel } from "./tools.js";
import { acts } from "./panel.js";
import { onProposeNext } from "./keys.js";
import { clock, say } from "./words.js";
import "./timeline.js";

const byId = (id) => document.getElementById(id);
const CONNECTION = {
  connected: "Connected", lost: "Connection lost, trying again…", "signed-out": "Signed out: reload to sign in",
};
const PLACE = `segannot-frame ${location.pathname}`;
let seen = "";
let asked = false;

api.on("connection", (now) => {
  byId("connection").className = now;
  byId("connection-words").textContent = CONNECTION[now];
});
api.on("refused", (message) => say(message, true));
api.on("queue", (queue) => {
  const saved = queue.length === 0;
  byId("saved").textContent = saved ? "All saved" : `Saving ${queue.length}…`;
  byId("saved").className = saved ? "" : "waits";
  set({});
});
api.on("state", (server) => {
  const first = app.server === null;
  const before = app.server?.objects.length ?? 0;
  const key = `${server.server} ${server.version} ${server.task?.done} ${server.task?.state}`;
  if (key !== seen) forgetMasks();
  seen = key;
  const wasBusy = busy(); // the last frame is shown, too
  const frame = app.follow && (server.task?.state === "running" || (wasBusy && server.task)) ? server.task.frame : app.frame;
  set({ server, frame });
  if (server.objects.length > before && !first) set({ selected: newest(server.objects) });
  if (first) begin(server);
});

function newest(objects) {
  return [...objects].sort((a, b) => b.order - a.order)[0].id;
}

function begin(server) {
  document.title = `${server.video.name} - SegAnnot`;
  byId("video").textContent = server.video.name;
  byId("last").textContent = `of ${lastFrame()}`;
  byId("frame").max = byId("to").max = lastFrame();
  if (server.back) byId("home").href = server.back;
  else byId("home").hidden = true;
  const kept = Number(new URLSearchParams(location.search).get("frame") ?? sessionStorage.getItem(PLACE) ?? firstLabelled(server));
  goTo(Number.isFinite(kept) ? kept : 0);
  if (!server.objects.length) byId("help").showModal();
}

function firstLabelled(server) {
  return server.origins[0]?.[0] ?? 0;
}

listen(() => {
  if (!app.server) return;
  if (document.activeElement !== byId("frame")) byId("frame").value = app.frame;
  byId("time").textContent = clock(app.frame / app.server.video.fps);
  byId("undo").disabled = !app.server.undo || busy();
  byId("redo").disabled = !app.server.redo || busy();
  byId("undo").title = app.server.undo ? `Undo: ${app.server.undo} (Ctrl+Z)` : "Nothing to undo";
  byId("play").textContent = app.playing ? "Stop" : "Play";
  byId("negative").ariaPressed = String(app.negative);
  byId("size").value = Math.round(app.radius);
  byId("size-row").hidden = app.tool !== "brush" && app.tool !== "eraser";
  byId("zoom").textContent = `${Math.round(scale() * 100)} %`;
  for (const button of document.querySelectorAll("#tools [data-tool]")) {
    button.ariaPressed = String(button.dataset.tool === app.tool);
  }
  byId("view").dataset.tool = app.tool;
  sessionStorage.setItem(PLACE, app.frame);
});

// the player shows every frame, as fast as the video runs or the pictures come

let due = 0;
function tick(now) {
  if (app.playing && app.server) {
    if (app.frame >= lastFrame()) set({ playing: false });
    else if (now >= due && shownFrame() === app.frame) {
      due = Math.max(due + 1000 / app.server.video.fps, now - 100);
      goTo(app.frame + 1);
    }
    prefetch(app.frame, usefulWidth(scale()), 1);
  }
  requestAnimationFrame(tick);
}
requestAnimationFrame(tick);

async function next() {
  if (asked) return;
  asked = true;
  say("Looking for the frame that teaches most…");
  try {
    const { frame, reason } = await api.nextFrame();
    goTo(frame);
    say(`Frame ${frame}: ${reason}.`);
  } catch (error) {
    say(error.message, true);
  }
  asked = false;
}
onProposeNext(next);

byId("frame").addEventListener("change", (event) => {
  set({ playing: false });
  goTo(Number(event.target.value) || 0);
  byId("view").focus();
});
byId("frame").addEventListener("keydown", (event) => event.key === "Enter" && event.target.blur());
byId("play").addEventListener("click", () => set({ playing: !app.playing }));
byId("undo").addEventListener("click", acts.undo);
byId("redo").addEventListener("click", acts.redo);
byId("next").addEventListener("click", next);
byId("fit").addEventListener("click", fit);
byId("negative").addEventListener("click", () => set({ negative: !app.negative }));
byId("size").addEventListener("input", (event) => set({ radius: Number(event.target.value) }));
for (const button of document.querySelectorAll("#tools [data-tool]")) {
  button.addEventListener("click", () => {
    cancel();
    set({ tool: button.dataset.tool });
  });
}
// for tests and for the curious: whether the picture on the screen is the frame that was asked for
window.segannot = { app, shownFrame, here, mask, pending: api.pending };
api.start();
