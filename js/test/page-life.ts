import { afterEach, beforeEach, vi } from "vitest";

/** The life of what a test draws: it begins with each test, under fake timers, and ends with it. */
export function pageLife(): Pick<AbortController, "signal" | "abort"> {
  let end: AbortController;
  beforeEach(() => {
    vi.useFakeTimers();
    end = new AbortController();
  });
  afterEach(() => {
    end.abort();
    document.body.replaceChildren();
    vi.useRealTimers();
  });
  return {
    get signal() {
      return end.signal;
    },
    abort: () => end.abort(),
  };
}
