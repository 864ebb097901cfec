// The right side of the zone editor: the list of zones, the form of the selected one, the scale.

const KINDS = {
  open: ["Open", "Birds inside are visible."],
  hidden: ["Hidden", "Birds inside are not visible, as in a nest box. Needs an entry zone in the same group."],
  entry: ["Entry", "In front of the hidden zone of the same group. A bird that disappears here went in."],
  border: ["Border", "Where birds arrive and leave."],
};

function element(tag, className = "", attributes = {}, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

function drawPanel(editor) {
  const { panel, doc } = editor;
  const kept = panel.getRootNode().activeElement?.dataset?.field;
  const scrolled = [panel.scrollTop, panel.firstChild?.scrollTop ?? 0];
  panel.replaceChildren(zoneList(editor));
  const zone = doc.zones[editor.zone];
  if (zone) panel.append(zoneForm(editor, zone));
  panel.append(scalePart(editor));
  if (kept) panel.querySelector(`[data-field="${kept}"]`)?.focus();
  [panel.scrollTop, panel.firstChild.scrollTop] = scrolled;
}

function zoneList(editor) {
  const part = element("div", editor.zone === null ? "part" : "part short");
  part.append(element("h3", "", {}, `Zones (${editor.doc.zones.length})`));
  if (!editor.doc.zones.length) part.append(element("p", "soft", {}, "No zones yet. Choose Polygon, Rectangle or Circle and draw."));
  editor.doc.zones.forEach((zone, k) => {
    const row = element("button", "zone", { type: "button", "aria-pressed": String(k === editor.zone), "data-field": `zone-${k}` });
    const chip = element("span", "chip");
    chip.style.background = zone.colour || COLOURS[k % COLOURS.length];
    row.append(chip, element("span", "name", {}, zone.name), element("span", "soft", {}, zone.kind + (zone.group ? `, ${zone.group}` : "")));
    row.addEventListener("click", () => editor.select(k, null));
    part.append(row);
  });
  return part;
}

function field(editor, label, input, change) {
  const line = element("label", "field");
  line.append(element("span", "", {}, label), input);
  input.addEventListener("change", () => {
    change(input.value);
    editor.commit();
  });
  input.addEventListener("keydown", (event) => event.stopPropagation());
  return line;
}

function textInput(name, value, type = "text", more = {}) {
  const input = element("input", "", { type, "data-field": name, ...more });
  input.value = value;
  return input;
}

function zoneForm(editor, zone) {
  const part = element("div", "part");
  const groups = element("datalist", "", { id: "lektrack-groups" });
  for (const name of new Set(editor.doc.zones.map((each) => each.group).filter(Boolean))) groups.append(element("option", "", { value: name }));
  const kind = element("select", "", { "data-field": "kind" });
  for (const [value, [text]] of Object.entries(KINDS)) kind.append(element("option", "", { value }, text));
  kind.value = zone.kind;
  const number = (name, step, top) => textInput(name, zone[name], "number", { min: 0, max: top, step });
  const group = textInput("group", zone.group, "text", { maxlength: 80 });
  group.setAttribute("list", "lektrack-groups");
  part.append(
    element("h3", "", {}, "Selected zone"),
    field(editor, "Name", textInput("name", zone.name, "text", { maxlength: 80 }), (value) => (zone.name = value.trim() || zone.name)),
    field(editor, "Kind", kind, (value) => (zone.kind = value)),
    element("p", "soft", {}, KINDS[zone.kind][1]),
    field(editor, "Group", group, (value) => (zone.group = value.trim())),
    groups,
    field(editor, "Colour", textInput("colour", zone.colour || COLOURS[editor.zone % COLOURS.length], "color"), (value) => (zone.colour = value)),
    field(editor, "Minimum stay, s", number("min_stay_s", 0.1, 3600), (value) => (zone.min_stay_s = Number(value))),
    field(editor, "Enter at share", number("in_share", 0.05, 1), (value) => (zone.in_share = Number(value))),
    field(editor, "Leave below share", number("out_share", 0.05, 1), (value) => (zone.out_share = Number(value))),
    element("p", "soft", {}, "Shares apply if the reference point is the mask."),
  );
  const remove = element("button", "plain", { type: "button" }, "Delete zone");
  remove.addEventListener("click", () => editor.removeZone());
  part.append(remove);
  const where = crossing(zone.shape);
  if (where) {
    const repair = element("button", "plain", { type: "button" }, "Repair and save");
    repair.addEventListener("click", () => editor.save(true));
    part.append(element("p", "bad", { role: "alert" }, `The outline crosses itself near x ${where[0]}, y ${where[1]}. Move a point, or:`), repair);
  }
  return part;
}

function scalePart(editor) {
  const part = element("div", "part");
  const { scale } = editor.doc;
  part.append(element("h3", "", {}, "Scale"));
  if (!scale) {
    part.append(element("p", "soft", {}, "No scale: distances and speeds are in px. Scale line: a known length, for a camera looking straight down. Ground points: four known points, for a slanted camera."));
    return part;
  }
  if (scale.kind === "length") {
    part.append(field(editor, "Length of the line, m", textInput("length", scale.length_m, "number", { min: 0.001, step: "any" }), (value) => (scale.length_m = Number(value))));
  } else if (scale.points?.length) {
    part.append(element("p", "soft", {}, "Ground coordinates of the four points, m:"));
    scale.points.forEach((_, k) => {
      const row = element("div", "pair");
      for (const axis of [0, 1]) {
        const input = textInput(`ground-${k}-${axis}`, scale.ground[k][axis], "number", { step: "any", "aria-label": `point ${k + 1} ${"xy"[axis]}, m` });
        row.append(field(editor, axis ? "y" : `${k + 1}  x`, input, (value) => (scale.ground[k][axis] = Number(value))));
      }
      part.append(row);
    });
  } else part.append(element("p", "soft", {}, "Homography supplied with the camera."));
  const remove = element("button", "plain", { type: "button" }, "Remove the scale");
  remove.addEventListener("click", () => {
    editor.doc.scale = null;
    editor.commit();
  });
  part.append(remove);
  return part;
}
