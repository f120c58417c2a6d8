// From numbers to canvases: the decoded picture and the coloured map.

import { clamp, height, width } from "../heat/frame";
import { type Heat, scaleMap } from "../heat/merge";
import { colourValues, type Look } from "../heat/palette";
import { resample } from "../heat/resample";
import { type ReadonlySignal, signal } from "../signals";
import type { Store } from "../store";
import type { Picture } from "../wire";
import { watch } from "./element";

/** The picture decoded for drawing; null while there is none. A picture that does not decode is reported. */
export function decodedPicture(
  store: Store,
  life: AbortSignal,
): { bitmap: ReadonlySignal<ImageBitmap | null>; fault: ReadonlySignal<string> } {
  const bitmap = signal<ImageBitmap | null>(null);
  const fault = signal("");
  watch(life, () => {
    const picture = store.picture.value;
    fault.value = store.pictureFault.value;
    if (!picture) {
      bitmap.value = null;
      return;
    }
    createImageBitmap(new Blob([picture.data], { type: picture.mime })).then(
      (decoded) => {
        if (!life.aborted && store.picture.peek() === picture) bitmap.value = decoded;
        else decoded.close();
      },
      () => {
        fault.value = `The browser cannot show ${picture.name || "this picture"} (${picture.mime}).`;
      },
    );
  });
  return { bitmap, fault };
}

/** Draw the part of the picture that the model saw, and a map over it, into a canvas of the given width. */
export function drawOver(
  canvas: HTMLCanvasElement,
  image: ImageBitmap,
  { window, original }: Picture,
  heat: Heat | null,
  look: Look,
  { width: across, smooth = true, filter = "none" }: { width: number; smooth?: boolean; filter?: string },
): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const tall = Math.round(across * clamp(height(window) / width(window), 0.4, 2));
  const scale = image.width / original[0];
  canvas.width = across;
  canvas.height = tall;
  context.filter = filter;
  const seen = [window[0], window[1], width(window), height(window)].map((edge) => edge * scale);
  context.drawImage(image, ...(seen as [number, number, number, number]), 0, 0, across, tall);
  context.filter = "none";
  if (!heat || heat.flat) return;
  const overlay = document.createElement("canvas");
  if (smooth) drawHeat(overlay, heat, look, across, tall);
  else drawHeat(overlay, heat, look, heat.cols, heat.rows);
  context.imageSmoothingEnabled = smooth;
  context.drawImage(overlay, 0, 0, across, tall);
}

/** Draw a map into a canvas of the given size: values are interpolated, then coloured. */
export function drawHeat(
  canvas: HTMLCanvasElement,
  heat: Heat,
  look: Look,
  across: number,
  down: number,
): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  const same = across === heat.cols && down === heat.rows;
  const values = same ? heat.scaled : resample(heat.scaled, heat.rows, heat.cols, down, across);
  context.putImageData(new ImageData(colourValues(values, look), across, down), 0, 0);
}

/** Canvas pixels of a scale. */
const RAMP = 256;

/** The colours of a map from its lowest value to its highest. */
export function drawRamp(canvas: HTMLCanvasElement, look: Look): void {
  const values = Array.from({ length: RAMP }, (_, i) => (look.signed ? 2 * i - RAMP + 1 : i));
  drawHeat(canvas, scaleMap(values, 1, RAMP, look.signed), { ...look, opacity: 1 }, RAMP, 1);
}
