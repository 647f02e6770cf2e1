// One scale of colours: cividis (Nuñez, Anderton and Renslow 2018), which reads alike with and without
// colour blindness. On a light page it runs the other way, from near the paper to its dark end.

const kDark = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
const kLight = ["#fbf8ea", "#efe6bd", "#dccb86", "#bfae6c", "#a19a76", "#838078", "#676a70", "#4c566d", "#27406e", "#00224e"];

type Rgb = [number, number, number];

const parse = (hex: string): Rgb => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb;
const kScales = { dark: kDark.map(parse), light: kLight.map(parse) };

export const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

// x in [0, 1]; values outside are drawn as the nearest end.
export function colourOf(x: number): Rgb {
  const scale = prefersDark.matches ? kScales.dark : kScales.light;
  const place = Math.min(Math.max(x, 0), 1) * (scale.length - 1);
  const below = Math.min(Math.floor(place), scale.length - 2);
  const part = place - below;
  return scale[below].map((value, i) => Math.round(value + (scale[below + 1][i] - value) * part)) as Rgb;
}

export const css = ([r, g, b]: Rgb): string => `rgb(${r} ${g} ${b})`;

// Black or white, whichever has more contrast on this colour (WCAG 2: they meet at 0.179, above 4.5).
export function inkOn(rgb: Rgb): string {
  const [r, g, b] = rgb.map((value) => {
    const c = value / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

// Weights are drawn by their square root, so that 0.05 can still be told from 0; entropy as it is.
export const weightColour = (weight: number): Rgb => colourOf(Math.sqrt(Math.max(weight, 0)));

// The scale with its numbers, as a strip.
export function drawLegend(into: HTMLElement, root: boolean, left: string, right: string): void {
  const bar = document.createElement("canvas");
  bar.width = 256;
  bar.height = 1;
  bar.setAttribute("aria-hidden", "true");
  const pen = bar.getContext("2d")!;
  for (let x = 0; x < 256; ++x) {
    pen.fillStyle = css(colourOf(root ? Math.sqrt(x / 255) : x / 255));
    pen.fillRect(x, 0, 1, 1);
  }
  const ticks = document.createElement("span");
  ticks.className = "ticks";
  for (const at of [0, 0.25, 0.5, 0.75, 1]) {
    const tick = document.createElement("span");
    tick.textContent = String(at);
    ticks.append(tick);
  }
  const scale = document.createElement("span");
  scale.className = "scale";
  scale.append(bar, ticks);
  const begin = document.createElement("span");
  begin.textContent = left;
  const end = document.createElement("span");
  end.textContent = right;
  into.replaceChildren(begin, scale, end);
}
