// Puts the parts together: connection, top line, player, history.

import * as api from "./api.js";
import { app, byId, element, goTo, lastFrame, listen, set } from "./state.js";
import { begin, player } from "../shared/frame.js";
import { prefetch, usefulWidth } from "../shared/pictures.js";
import { areHere, readAhead } from "./players.js";
import * as view from "./view.js";
import "./cards.js";
import "./acts.js";
import "./lanes.js";
import "./keys.js";

const ACTS = {
  name: "named", swap: "swapped", unlink: "not told apart", merge: "merged", link: "linked", lost: "lost",
  not_a_bird: "no bird", draw: "drawn", keep: "answered", unsure: "unsure", audit: "audited", reviewed: "watched",
  rename: "renamed", undo: "undone",
};

api.on("state", (server) => {
  const first = app.server === null;
  set({ server });
  if (!first) return;
  const kept = begin(server, "Board");
  byId("scope-frame").max = lastFrame();
  if (!server.doubts.open) goTo(kept); // else the first doubt says where
});

listen(() => {
  const { server } = app;
  byId("undo").disabled = !server.undo;
  byId("redo").disabled = !server.redo;
  byId("undo").title = server.undo ? `Undo: ${ACTS[server.undo.act] ?? server.undo.act} by ${server.undo.who} (Ctrl+Z)` : "Nothing to undo";
  byId("backward").textContent = app.playing < 0 ? "Stop" : "Back";
  byId("speed").value = String(app.speed);
  byId("share").textContent = `Watched ${(100 * server.reviewed).toFixed(1)} %`;
  byId("who").textContent = server.who || "no name given";
  history(server);
});

let drawn = -1;
function history(server) {
  if (drawn === server.version) return;
  drawn = server.version;
  byId("history").replaceChildren(...[...server.recent].reverse().map((act) => {
    const words = `${ACTS[act.act] ?? act.act}${act.frame === null ? "" : `, frame ${act.frame}`}`;
    const line = element("button", { type: "button", textContent: words, title: act.why || act.when });
    if (act.frame !== null) line.addEventListener("click", () => goTo(act.frame));
    return element("li", {}, line, element("span", { textContent: act.who }));
  }));
  byId("problems").replaceChildren(...server.problems.map(({ act, why }) => element("li", { textContent: `${act}: ${why}` })));
  byId("problems-part").hidden = !server.problems.length;
  const pairs = server.agreement.pairs.map(({ people, doubts, kappa }) =>
    element("li", { textContent: `${people.join(" and ")}: ${doubts} doubts, kappa ${kappa === null ? "not defined" : kappa.toFixed(2)}` }));
  const differ = server.agreement.differ.map((doubt) => element("li", { textContent: `They differ on doubt ${doubt}` }));
  byId("agreement").replaceChildren(...pairs, ...differ);
  byId("agreement-part").hidden = !pairs.length;
}

player({
  view: { ...view, shownFrame: () => (areHere() ? view.shownFrame() : -1) },
  ahead(way) {
    prefetch(app.frame, usefulWidth(view.scale()), way);
    readAhead(way);
  },
});
byId("backward").addEventListener("click", () => set({ playing: app.playing < 0 ? 0 : -1 }));
byId("speed").addEventListener("change", (event) => set({ speed: Number(event.target.value) }));
byId("undo").addEventListener("click", () => api.turn("undo"));
byId("redo").addEventListener("click", () => api.turn("redo"));
api.start();
