// From numbers to canvases: the decoded picture and the coloured map.

import { type ReadonlySignal, signal } from "@preact/signals-core";
import type { Heat } from "../heat/merge";
import { colourValues, type Look } from "../heat/palette";
import { resample } from "../heat/resample";
import type { Store } from "../store";
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
    createImageBitmap(new Blob([picture.bytes], { type: picture.mime })).then(
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

/** Draw a map into a canvas of the given size: values are interpolated, then coloured. */
export function drawHeat(
  canvas: HTMLCanvasElement,
  heat: Heat,
  look: Look,
  width: number,
  height: number,
): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const same = width === heat.cols && height === heat.rows;
  const values = same ? heat.scaled : resample(heat.scaled, heat.rows, heat.cols, height, width);
  context.putImageData(new ImageData(colourValues(values, look), width, height), 0, 0);
}
