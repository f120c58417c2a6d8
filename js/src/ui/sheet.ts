// A sheet as pixels and as SVG: the same words at the same places, the same map over the same picture.

import type { Box } from "../heat/frame";
import { height, width } from "../heat/frame";
import { scaleMap } from "../heat/merge";
import { type Line, type Measure, type Sheet, sizeOf } from "../store/sheet";
import { el } from "./element";
import { drawHeat } from "./raster";

/** Pixels of a PNG for each of the sheet's. */
export const DENSITY = 2;
const FONT = "system-ui, sans-serif";
const INK = "#1d2227";
const DIM = "#5d6670";
const PAPER = "#ffffff";
const STEPS = 256;

const fontOf = (size: number, bold: boolean) => `${bold ? "600 " : ""}${size}px ${FONT}`;

export const measure: Measure = (words, size, bold) => {
  const context = el("canvas").getContext("2d")!;
  context.font = fontOf(size, bold);
  return context.measureText(words).width;
};

/** The map alone, in its colours, as many pixels as its place has. */
function mapOf({ heat, look, window, smooth }: Sheet): HTMLCanvasElement {
  const [across, down] = sizeOf(window).map((side) => DENSITY * side) as [number, number];
  const canvas = el("canvas");
  if (smooth) drawHeat(canvas, heat, look, across, down);
  else {
    const patches = el("canvas");
    drawHeat(patches, heat, look, heat.cols, heat.rows);
    canvas.width = across;
    canvas.height = down;
    const context = canvas.getContext("2d")!;
    context.imageSmoothingEnabled = false;
    context.drawImage(patches, 0, 0, across, down);
  }
  return canvas;
}

function scaleOf({ look }: Sheet): HTMLCanvasElement {
  const values = Array.from({ length: STEPS }, (_, i) => (look.signed ? 2 * i - STEPS + 1 : i));
  const canvas = el("canvas");
  const ramp = scaleMap(values, 1, STEPS, look.signed);
  drawHeat(canvas, ramp, { ...look, threshold: 0, opaque: true }, STEPS, 1);
  return canvas;
}

const inkOf = ({ bold }: Line) => (bold ? INK : DIM);

export async function toPng(sheet: Sheet): Promise<Blob> {
  const canvas = el("canvas", { width: DENSITY * sheet.width, height: DENSITY * sheet.height });
  const context = canvas.getContext("2d")!;
  const draw = (image: CanvasImageSource, box: Box) =>
    context.drawImage(image, box[0], box[1], width(box), height(box));
  const bitmap = await createImageBitmap(new Blob([sheet.picture.data], { type: sheet.picture.mime }));
  context.scale(DENSITY, DENSITY);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.save();
  context.rect(sheet.frame[0], sheet.frame[1], width(sheet.frame), height(sheet.frame));
  context.clip();
  draw(bitmap, sheet.frame);
  if (!sheet.heat.flat) draw(mapOf(sheet), sheet.window);
  context.restore();
  draw(scaleOf(sheet), sheet.bar);
  for (const line of sheet.lines) {
    context.font = fontOf(line.size, !!line.bold);
    context.fillStyle = inkOf(line);
    context.textAlign = line.end ? "right" : "left";
    context.fillText(line.words, line.x, line.y);
  }
  bitmap.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("the picture is too large"))),
      "image/png",
    );
  });
}

export async function toSvg(sheet: Sheet): Promise<Blob> {
  const source = await dataUrl(new Blob([sheet.picture.data], { type: sheet.picture.mime }));
  const place = ([left, top, right, bottom]: Box) =>
    `x="${round(left)}" y="${round(top)}" width="${round(right - left)}" height="${round(bottom - top)}"`;
  const image = (url: string, box: Box) =>
    `<image ${place(box)} preserveAspectRatio="none" xlink:href="${url}"/>`;
  const map = sheet.heat.flat ? "" : image(mapOf(sheet).toDataURL(), sheet.window);
  const lines = sheet.lines.map(
    (line) =>
      `<text x="${line.x}" y="${round(line.y)}" font-size="${line.size}"${line.bold ? ' font-weight="600"' : ""}` +
      ` fill="${inkOf(line)}"${line.end ? ' text-anchor="end"' : ""}>${xml(line.words)}</text>`,
  );
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${sheet.width}"` +
      ` height="${sheet.height}" viewBox="0 0 ${sheet.width} ${sheet.height}" font-family="${FONT}">`,
    `<title>${xml(sheet.lines[0]!.words)}</title>`,
    `<clipPath id="frame"><rect ${place(sheet.frame)}/></clipPath>`,
    `<rect width="100%" height="100%" fill="${PAPER}"/>`,
    `<g clip-path="url(#frame)">`,
    image(source, sheet.frame),
    map,
    "</g>",
    image(scaleOf(sheet).toDataURL(), sheet.bar),
    ...lines,
    "</svg>",
  ];
  return new Blob([svg.filter(Boolean).join("\n")], { type: "image/svg+xml" });
}

const round = (value: number) => Math.round(100 * value) / 100;

/** Text of XML: what the format has no place for is left out. */
export const xml = (words: string): string =>
  words
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/gu, "")
    .replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
