// Every test has the second file at once, as a page has it where another widget has brought it.

import { live } from "../src/live";
import { HASH, type MakeLive } from "../src/store/second";

// biome-ignore lint/suspicious/noThenProperty: what is there already is not waited for
const file = { then: (take: (made: () => MakeLive) => void) => take(() => live) };
Object.assign(globalThis, {
  legradWidget: { [HASH]: { file, arrive() {}, asked: Number.POSITIVE_INFINITY } },
});
