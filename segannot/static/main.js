// Puts the parts together: connection, top line, player.

import * as api from "./api.js";
import { app, busy, byId, goTo, listen, say, set } from "./state.js";
import { begin, player } from "../shared/frame.js";
import { forgetMasks, here, mask, prefetch, usefulWidth } from "./pictures.js";
import * as view from "./view.js";
import { cancel } from "./tools.js";
import { acts } from "./panel.js";
import { onProposeNext } from "./keys.js";
import "./timeline.js";

let seen = "";
let asked = false;

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
  if (!first) return;
  goTo(begin(server, "SegAnnot", server.origins[0]?.[0] ?? 0));
  byId("to").max = byId("frame").max;
  if (!server.objects.length) byId("help").showModal();
});

function newest(objects) {
  return [...objects].sort((a, b) => b.order - a.order)[0].id;
}

listen(() => {
  byId("undo").disabled = !app.server.undo || busy();
  byId("redo").disabled = !app.server.redo || busy();
  byId("undo").title = app.server.undo ? `Undo: ${app.server.undo} (Ctrl+Z)` : "Nothing to undo";
  byId("negative").ariaPressed = String(app.negative);
  byId("size").value = Math.round(app.radius);
  byId("size-row").hidden = app.tool !== "brush" && app.tool !== "eraser";
  for (const button of document.querySelectorAll("#tools [data-tool]")) {
    button.ariaPressed = String(button.dataset.tool === app.tool);
  }
  byId("view").dataset.tool = app.tool;
});

player({ view, ahead: (way) => prefetch(app.frame, usefulWidth(view.scale()), way) });

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

byId("frame").addEventListener("keydown", (event) => event.key === "Enter" && event.target.blur());
byId("undo").addEventListener("click", acts.undo);
byId("redo").addEventListener("click", acts.redo);
byId("next").addEventListener("click", next);
byId("negative").addEventListener("click", () => set({ negative: !app.negative }));
byId("size").addEventListener("input", (event) => set({ radius: Number(event.target.value) }));
for (const button of document.querySelectorAll("#tools [data-tool]")) {
  button.addEventListener("click", () => {
    cancel();
    set({ tool: button.dataset.tool });
  });
}
// for tests and for the curious: whether the picture on the screen is the frame that was asked for
window.segannot = { app, shownFrame: view.shownFrame, here, mask, pending: api.pending };
api.start();
