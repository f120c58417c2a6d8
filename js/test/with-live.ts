// A view with the second file's parts, as the page has it once that file is here.

import { live } from "../src/live";
import { createStore, type Host, type Store } from "../src/store";
import { type LiveStore, withTools } from "../src/store/live";
import { mount } from "../src/ui/root";

export const createLiveStore = (host: Host, life: AbortSignal): LiveStore =>
  withTools(createStore(host, life), life);

export function mountLive(parent: HTMLElement, store: Store, life: AbortSignal): void {
  mount(parent, store, life);
  addLive(parent, store, life);
}

export function addLive(parent: HTMLElement, store: Store, life: AbortSignal): void {
  store.live.value = live(store, parent.querySelector<HTMLElement>(".legrad")!, life);
}
