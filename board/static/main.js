// Starts the page: connection, header, player, history.

import * as api from "./api.js";
import { app, byId, element, goTo, lastFrame, listen, set } from "./state.js";
import { openPage, player } from "../shared/shell.js";
import { prefetch, usefulWidth } from "../shared/frame_cache.js";
import { areCurrent, readAhead } from "./players.js";
import * as view from "./view.js";
import "./doubt_cards.js";
import "./corrections.js";
import "./audit.js";
import "./lanes.js";
import "./keys.js";

const HISTORY = { // by the kind of an act in the log
  name: "named", swap: "swapped", unlink: "unassigned", merge: "merged", link: "linked", lost: "not visible",
  not_a_bird: "not a bird", draw: "mask drawn", keep: "doubt answered", unsure: "doubt: unsure", audit: "audited",
  reviewed: "reviewed", rename: "renamed", undo: "undone",
};

api.on("state", (server) => {
  const first = app.server === null;
  set({ server });
  if (!first) return;
  const frame = openPage(server, "Board");
  byId("scope-frame").max = lastFrame();
  if (!server.doubts.open) goTo(frame); // else the first doubt's frame is opened
});

listen(() => {
  const { server } = app;
  byId("undo").disabled = !server.undo;
  byId("redo").disabled = !server.redo;
  byId("undo").title = server.undo ? `Undo: ${HISTORY[server.undo.act] ?? server.undo.act} by ${server.undo.who} (Ctrl+Z)` : "Nothing to undo";
  byId("backward").textContent = app.playing < 0 ? "Pause" : "Reverse";
  byId("speed").value = String(app.speed);
  byId("share").textContent = `Reviewed ${(100 * server.reviewed).toFixed(1)} %`;
  byId("who").textContent = server.who || "no reviewer name";
  drawHistory(server);
});

let drawnVersion = -1;
function drawHistory(server) {
  if (drawnVersion === server.version) return;
  drawnVersion = server.version;
  byId("history").replaceChildren(...[...server.recent].reverse().map((act) => {
    const text = `${HISTORY[act.act] ?? act.act}${act.frame === null ? "" : `, frame ${act.frame}`}`;
    const line = element("button", { type: "button", textContent: text, title: act.why || act.when });
    if (act.frame !== null) line.addEventListener("click", () => goTo(act.frame));
    return element("li", {}, line, element("span", { textContent: act.who }));
  }));
  byId("problems").replaceChildren(...server.problems.map(({ act, why }) => element("li", { textContent: `${act}: ${why}` })));
  byId("problems-part").hidden = !server.problems.length;
  const pairs = server.agreement.pairs.map(({ people, doubts, kappa }) =>
    element("li", { textContent: `${people.join(" and ")}: ${doubts} doubts, kappa ${kappa === null ? "not defined" : kappa.toFixed(2)}` }));
  const differ = server.agreement.differ.map((doubt) => element("li", { textContent: `Different answers to doubt ${doubt}` }));
  byId("agreement").replaceChildren(...pairs, ...differ);
  byId("agreement-part").hidden = !pairs.length;
}

player({
  view: { ...view, shownFrame: () => (areCurrent() ? view.shownFrame() : -1) },
  readAhead(direction) {
    prefetch(app.frame, usefulWidth(view.scale()), direction);
    readAhead(direction);
  },
});
byId("backward").addEventListener("click", () => set({ playing: app.playing < 0 ? 0 : -1 }));
byId("speed").addEventListener("change", (event) => set({ speed: Number(event.target.value) }));
byId("undo").addEventListener("click", () => api.turn("undo"));
byId("redo").addEventListener("click", () => api.turn("redo"));
api.start();
