// The store as the second file has it.

import { createStore, type Host } from "../src/store";
import { type LiveStore, withTools } from "../src/store/live";

export const createLiveStore = (host: Host, life: AbortSignal): LiveStore =>
  withTools(createStore(host, life), life);
