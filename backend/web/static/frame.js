// What stands around every page's picture: connection, what waits to be saved, the way back, and the player.

import { app, byId, clock, element, goTo, lastFrame, listen, say, set } from "./page.js";
import { giveUp, on, pending } from "./server.js";

const CONNECTION = {
  connected: "Connected", lost: "Connection lost, trying again…", "signed-out": "Signed out: reload to sign in",
};

on("connection", (now) => {
  byId("connection").className = now;
  byId("connection-words").textContent = CONNECTION[now];
});
on("refused", (message) => say(message, true));

const OFTEN = 5; // times that a change must fail before giving it up is offered
const WHAT = "The server could not do this again and again; the reason is in its log. Give this change up, so that what comes after it is saved?";
let failing = null;
const given = element("button", { type: "button", id: "give-up", textContent: "Give it up", title: WHAT, hidden: true });
given.addEventListener("click", () => confirm(WHAT) && giveUp());
byId("saved").after(given);

on("failing", (now) => {
  if (now && now.message !== failing?.message) say(`Not saved: ${now.message}`, true);
  failing = now;
  given.hidden = !now || now.times < OFTEN;
  drawQueue();
});
on("queue", drawQueue);

function drawQueue() {
  const waiting = pending().length;
  const saved = byId("saved");
  saved.textContent = !waiting ? "All saved" : failing ? `${waiting} not saved` : `Saving ${waiting}…`;
  saved.title = (waiting && failing?.message) || "";
  saved.className = waiting ? "waits" : "";
  set({});
}

// Fill in what stays as it is, and return the frame that the address or this tab's last visit names, else ``frame``.
export function begin(server, title, frame = 0) {
  document.title = `${server.video.name} - ${title}`;
  byId("video").textContent = server.video.name;
  byId("last").textContent = `of ${lastFrame()}`;
  byId("frame").max = lastFrame();
  if (server.back) byId("home").href = server.back;
  else byId("home").hidden = true;
  const place = `${title} frame ${server.of}`;
  const kept = Number(new URLSearchParams(location.search).get("frame") ?? sessionStorage.getItem(place) ?? frame);
  listen(() => {
    try {
      sessionStorage.setItem(place, app.frame);
    } catch {
      // no storage: the page begins elsewhere next time
    }
  });
  return Number.isFinite(kept) ? kept : 0;
}

// The player shows every frame, as fast as it should or the pictures come.
export function player({ view, ahead }) {
  let due = 0;
  const tick = (now) => {
    if (app.playing && app.server) {
      const end = app.playing > 0 ? lastFrame() : 0;
      if (app.frame === end) set({ playing: 0 });
      else if (now >= due && view.shownFrame() === app.frame) {
        due = Math.max(due + 1000 / (app.server.video.fps * app.speed), now - 100);
        goTo(app.frame + app.playing);
      }
      ahead(app.playing);
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  listen(() => {
    if (document.activeElement !== byId("frame")) byId("frame").value = app.frame;
    byId("time").textContent = clock(app.frame);
    byId("play").textContent = app.playing > 0 ? "Stop" : "Play";
    byId("zoom").textContent = `${Math.round(view.scale() * 100)} %`;
  });
  byId("frame").addEventListener("change", (event) => {
    set({ playing: 0 });
    goTo(Number(event.target.value) || 0);
    byId("view").focus();
  });
  byId("play").addEventListener("click", () => set({ playing: app.playing > 0 ? 0 : 1 }));
  byId("fit").addEventListener("click", view.fit);
}
