// The page: reads its data, joins the parts, draws them again when what is shown changes.

import "./style.css";

import { prefersDark } from "./colour";
import { readInspection, type Inspection } from "./data";
import { Heads } from "./heads";
import { AttentionMap, readingOf } from "./map";
import { Row } from "./row";
import { State } from "./state";
import { Strip } from "./strip";

function start(data: Inspection): void {
  const node = (id: string): HTMLElement => document.getElementById(id)!;
  node("main").hidden = false;
  node("readout").hidden = false;
  node("facts").textContent =
    `${data.model} · ${data.count} tokens · ${data.layers} layers × ${data.heads} heads`;
  document.title = `${data.model}: regard inspect`;

  const state = new State(data);
  const parts = [new Strip(data, state), new Heads(data, state), new AttentionMap(data, state), new Row(data, state)];

  let waiting = 0;
  const draw = (): void => {
    waiting = 0;
    for (const part of parts) part.render();
    node("reading").replaceChildren(...readingOf(data, state.shown).nodes);
  };
  const drawSoon = (): void => {
    waiting ||= requestAnimationFrame(draw);
  };

  // Speech waits until the keys rest, so that holding an arrow down does not read every cell.
  let saying = 0;
  const saySoon = (): void => {
    window.clearTimeout(saying);
    saying = window.setTimeout(() => (node("spoken").textContent = readingOf(data, state.shown).spoken), 150);
  };

  state.onChange((cause) => {
    drawSoon();
    if (cause !== "pointer") saySoon();
  });
  prefersDark.addEventListener("change", drawSoon);

  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement && event.target.type === "text";
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") state.preview(null, "keyboard");
    else if (event.key.toLowerCase() === "c") state.setColour(state.colour === "weight" ? "entropy" : "weight");
  });
  draw();
}

function startHelp(): void {
  const help = document.getElementById("help") as HTMLDialogElement;
  document.getElementById("help-open")!.addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (help.open) help.close();
    else help.showModal();
    event.preventDefault();
  });
}

startHelp();
try {
  start(readInspection(document.getElementById("regard-data")!.textContent ?? ""));
} catch (error) {
  const problem = document.getElementById("problem")!;
  problem.textContent = error instanceof Error ? error.message : String(error);
  problem.hidden = false;
}
