// Values that others follow: signals, values computed from them, and effects that run again when these change.
//
// Setting a signal puts everything that was derived from it in doubt. What is in doubt is settled when it is
// read: a computed value computes again, and an effect runs again, only if something that it read has changed.

export interface ReadonlySignal<T> {
  /** The value now; whoever reads it inside an effect or a computed value follows it. */
  readonly value: T;
  /** The value now, without following it. */
  peek(): T;
}

export interface Signal<T> extends ReadonlySignal<T> {
  value: T;
}

/** Something that can be followed. */
interface Source {
  readonly readers: Set<Reader>;
  /** The value now, out of any doubt. */
  now(): unknown;
}

/** Something that follows: an effect or a computed value. */
interface Reader {
  /** What it read last, in order, and the values that it saw. */
  readonly seen: Map<Source, unknown>;
  doubt(): void;
}

const ENDLESS = 10_000;
let reader: Reader | null = null;
let depth = 0;
const waiting = new Set<() => void>();

/** Run `run` for `by`: what it reads is what `by` follows from now on. */
function read<T>(by: Reader | null, run: () => T): T {
  const outer = reader;
  if (by) forget(by);
  reader = by;
  try {
    return run();
  } finally {
    reader = outer;
  }
}

function forget(by: Reader): void {
  for (const source of by.seen.keys()) source.readers.delete(by);
  by.seen.clear();
}

/** The reader that runs now follows `source`, if there is one. */
function follow(source: Source): void {
  if (reader) {
    source.readers.add(reader);
    // Also where the value cannot be computed: once it can, that is news.
    reader.seen.set(source, NaN);
    reader.seen.set(source, source.now());
  }
}

function hasNews({ seen }: Reader): boolean {
  for (const [source, value] of seen) if (source.now() !== value) return true;
  return false;
}

/** Change several signals, and let effects run once at the end. */
export function batch(run: () => void): void {
  depth++;
  try {
    run();
  } finally {
    try {
      if (depth === 1) settle();
    } finally {
      depth--;
    }
  }
}

/** Run the effects in doubt, and those that they put in doubt; the first error is thrown when all have run. */
function settle(): void {
  const errors: unknown[] = [];
  let runs = 0;
  for (const run of waiting) {
    waiting.delete(run);
    if (++runs > ENDLESS) throw new Error("Effects set each other off without an end.");
    try {
      run();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length) throw errors[0];
}

export const untracked = <T>(run: () => T): T => read(null, run);

export function signal<T>(initial: T): Signal<T> {
  let current = initial;
  const source: Source = { readers: new Set(), now: () => current };
  return {
    get value() {
      follow(source);
      return current;
    },
    set value(next) {
      if (next === current) return;
      current = next;
      batch(() => {
        for (const follower of source.readers) follower.doubt();
      });
    },
    peek: () => current,
  };
}

export function computed<T>(compute: () => T): ReadonlySignal<T> {
  let current: T;
  /** False before the first value, and after an error: then it is computed whatever the news. */
  let valid = false;
  let doubtful = false;
  const self: Reader = {
    seen: new Map(),
    doubt() {
      if (doubtful) return;
      doubtful = true;
      for (const follower of source.readers) follower.doubt();
    },
  };
  const now = (): T => {
    if (valid && !doubtful) return current;
    const had = valid;
    valid = doubtful = false;
    if (!had || hasNews(self)) current = read(self, compute);
    valid = true;
    return current;
  };
  const source: Source = { readers: new Set(), now };
  return {
    get value() {
      follow(source);
      return now();
    },
    peek: now,
  };
}

/** Run now, and again when what was read has changed; returns what ends it. */
export function effect(run: () => void): () => void {
  const again = () => {
    if (hasNews(self)) read(self, run);
  };
  const self: Reader = { seen: new Map(), doubt: () => void waiting.add(again) };
  batch(() => read(self, run));
  return () => {
    waiting.delete(again);
    forget(self);
  };
}
