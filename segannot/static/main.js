// Starts the page: connection, header, tools, player.

import * as api from "./api.js";
import { app, busy, byId, frontToBack, goTo, listen, set } from "./state.js";
import { openPage, player } from "../shared/shell.js";
import { cached, usefulWidth } from "../shared/frame_cache.js";
import { forgetMasks, mask, prefetch } from "./mask_cache.js";
import * as view from "./view.js";
import { cancel } from "./tools.js";
import { actions } from "./panel.js";
import "./keys.js";
import "./timeline.js";

// what the header's tooltip says of the change that Undo would revert, by its kind in the log
const CHANGES = {
  copy: "copy of outlines", clear: "removal of outlines", review: "acceptance", unreview: "withdrawn acceptance",
  specks: "removal of specks", propose: "detected birds", add: "added bird", edit: "changed bird", delete: "deleted bird",
  merge: "merged birds", front: "bird moved to front", back: "bird moved to back", propagate: "propagation",
};

let lastState = ""; // of the server, as far as masks depend on it

api.on("state", (server) => {
  const first = app.server === null;
  const before = app.server?.objects.length ?? 0;
  const key = `${server.server} ${server.version} ${server.task?.done} ${server.task?.state}`;
  if (key !== lastState) forgetMasks();
  lastState = key;
  const wasBusy = busy(); // the last propagated frame is shown, too
  const frame = app.follow && (server.task?.state === "running" || (wasBusy && server.task)) ? server.task.frame : app.frame;
  set({ server, frame });
  if (server.objects.length > before && !first) set({ selected: frontToBack()[0].id }); // the new one is in front
  if (!first) return;
  goTo(openPage(server, "SegAnnot", server.origins[0]?.[0] ?? 0));
  byId("to").max = byId("frame").max;
  if (!server.objects.length) byId("help").showModal();
});

listen(() => {
  const { undo, redo } = app.server;
  byId("undo").disabled = !undo || busy();
  byId("redo").disabled = !redo || busy();
  byId("undo").title = undo ? `Undo: ${CHANGES[undo] ?? undo} (Ctrl+Z)` : "Nothing to undo";
  byId("redo").title = redo ? `Redo: ${CHANGES[redo] ?? redo} (Ctrl+Y)` : "Nothing to redo";
  byId("negative").ariaPressed = String(app.negative);
  byId("size").value = Math.round(app.radius);
  byId("size-row").hidden = app.tool !== "brush" && app.tool !== "eraser";
  for (const button of document.querySelectorAll("#tools [data-tool]")) {
    button.ariaPressed = String(button.dataset.tool === app.tool);
  }
  byId("view").dataset.tool = app.tool;
});

player({ view, readAhead: (direction) => prefetch(app.frame, usefulWidth(view.scale()), direction) });

byId("frame").addEventListener("keydown", (event) => event.key === "Enter" && event.target.blur());
byId("undo").addEventListener("click", actions.undo);
byId("redo").addEventListener("click", actions.redo);
byId("next").addEventListener("click", actions.suggestFrame);
byId("negative").addEventListener("click", () => set({ negative: !app.negative }));
byId("size").addEventListener("input", (event) => set({ radius: Number(event.target.value) }));
for (const button of document.querySelectorAll("#tools [data-tool]")) {
  button.addEventListener("click", () => {
    cancel();
    set({ tool: button.dataset.tool });
  });
}
// for tests and the browser's console: whether the image on the screen is the frame that was asked for
window.segannot = { app, shownFrame: view.shownFrame, here: cached, mask, pending: api.pending };
api.start();
