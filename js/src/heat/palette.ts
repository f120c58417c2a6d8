// Colour tables, and colouring of scaled values: the values come interpolated already, so that
// colours are never mixed with each other.

import { clamp } from "./frame";
import { TABLES } from "./palettes";

export type Palette = keyof typeof TABLES;
type Bends = Exclude<(typeof TABLES)[Palette], string>;

/** Sequential maps a person can choose; all perceptually ordered. Signed maps always use RdBu_r. */
export const SEQUENTIAL = ["inferno", "viridis", "cividis", "magma", "gray"] as const satisfies Palette[];

/** 256 RGB triples of `name`, rebuilt from what js/palettes.py left of them. */
export function table(name: Palette): Uint8Array {
  const code = TABLES[name];
  return typeof code === "string" ? interpolated(code) : unbent(code);
}

/** From anchor colours in hexadecimal digits, in matplotlib's order of operations: every byte is its byte. */
function interpolated(anchors: string): Uint8Array {
  const bytes = new Uint8Array(768);
  const last = anchors.length / 6 - 1;
  const position = (anchor: number) => 255 * (1 - (last - anchor) * (1 / last));
  for (let i = 0; i < 768; i++) {
    const x = 255 * (Math.floor(i / 3) * (1 / 255));
    let low = 0;
    while (low < last - 1 && position(low + 1) < x) low++;
    const level = (at: number) => Number.parseInt(anchors.substr(6 * at + 2 * (i % 3), 2), 16) / 255;
    const part = (x - position(low)) / (position(low + 1) - position(low));
    bytes[i] = 255 * (part * (level(low + 1) - level(low)) + level(low));
  }
  return bytes;
}

/** From the first two colours and the second differences. */
function unbent({ start, low, span, per, bends }: Bends): Uint8Array {
  const bytes = new Uint8Array(768);
  bytes.set(start);
  for (let i = 6; i < 768; i++) {
    const char = bends.charCodeAt(Math.floor((i - 6) / per));
    const digit = Math.floor((char - (char > 92 ? 36 : 35)) / span ** ((i - 6) % per)) % span;
    bytes[i] = 2 * bytes[i - 3]! - bytes[i - 6]! + digit + low;
  }
  return bytes;
}

/** How a map is drawn. */
export interface Look {
  readonly palette: Palette;
  /** 0 to 1: the alpha of the most relevant value. */
  readonly opacity: number;
  /** Magnitudes below it are fully transparent. */
  readonly threshold: number;
  readonly signed: boolean;
  /** Drawn over nothing: every value has its full colour. */
  readonly opaque?: boolean;
}

/**
 * Alpha of a magnitude in [0, 1]: nothing where nothing is relevant, then rising smoothly, full from 0.85 on.
 * A constant alpha, or one that is quick to rise, would hide the very picture that the map explains.
 */
export function alphaOf(magnitude: number): number {
  const t = clamp(magnitude / 0.85, 0, 1);
  return t * t * (3 - 2 * t);
}

/** 256 RGBA entries over the value range ([0, 1], or [-1, 1] where signed), packed little-endian. */
export function lookTable(look: Look): Uint32Array {
  const rgb = table(look.palette);
  const packed = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const value = look.signed ? (i / 255) * 2 - 1 : i / 255;
    const alpha = look.opaque ? 255 : Math.round(255 * look.opacity * alphaOf(Math.abs(value)));
    packed[i] = ((alpha << 24) | (rgb[3 * i + 2]! << 16) | (rgb[3 * i + 1]! << 8) | rgb[3 * i]!) >>> 0;
  }
  return packed;
}

/** Colour scaled values: RGBA bytes, one pixel for each value. */
export function colourValues(scaled: Float64Array, look: Look): Uint8ClampedArray<ArrayBuffer> {
  const packed = lookTable(look);
  const pixels = new Uint32Array(scaled.length);
  const [gain, offset] = look.signed ? [127.5, 127.5] : [255, 0];
  const { threshold } = look;
  for (let i = 0; i < scaled.length; i++) {
    const value = scaled[i]!;
    if ((value < 0 ? -value : value) < threshold) continue;
    const index = value * gain + offset + 0.5;
    pixels[i] = packed[index < 0 ? 0 : index > 255 ? 255 : index | 0]!;
  }
  return new Uint8ClampedArray(pixels.buffer);
}
