// The three parts of the side: doubts, birds, audit and history.

import { byId, set } from "./state.js";

const TABS = ["doubts", "birds", "audit"];

export function showTab(name) {
  for (const each of TABS) {
    byId(each).hidden = each !== name;
    byId(`tab-${each}`).ariaSelected = String(each === name);
  }
  set({});
}

for (const each of TABS) byId(`tab-${each}`).addEventListener("click", () => showTab(each));
showTab("doubts");
