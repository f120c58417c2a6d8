// Every test has both second files at once, as a page has them where other widgets have brought them.

import { gallery } from "../src/gallery";
import { HASH as GALLERY } from "../src/inspection/store";
import { live } from "../src/live";
import { HASH } from "../src/store/second";

// biome-ignore lint/suspicious/noThenProperty: what is there already is not waited for
const file = (made: unknown) => ({ then: (take: (run: () => unknown) => void) => take(() => made) });
const delivery = (made: unknown) => ({ file: file(made), arrive() {}, asked: Number.POSITIVE_INFINITY });
Object.assign(globalThis, { legradWidget: { [HASH]: delivery(live), [GALLERY]: delivery(gallery) } });
