import type { Host } from "../src/store/traits";

/** A host in memory: what the page wrote and sent is recorded, and the kernel's side is driven by hand. */
export class FakeHost implements Host {
  readonly written: Record<string, unknown>[] = [];
  readonly sent: Record<string, unknown>[] = [];
  readonly buffers: ArrayBuffer[] = [];
  connected = true;
  private readonly changed = new Map<string, (() => void)[]>();
  private readonly arrived: ((content: unknown, buffers?: readonly unknown[]) => void)[] = [];

  constructor(readonly state: Record<string, unknown> = {}) {}

  read(trait: string): unknown {
    return this.state[trait];
  }
  /** As Backbone: setting a trait tells its listeners at once, the one who set it included. */
  write(changes: Readonly<Record<string, unknown>>): void {
    this.written.push({ ...changes });
    for (const [name, value] of Object.entries(changes)) this.set(name, value);
  }
  send(content: object, buffers: ArrayBuffer[] = []): void {
    if (!this.connected) throw new Error("Cannot send");
    this.sent.push(structuredClone(content) as Record<string, unknown>);
    this.buffers.push(...buffers);
  }
  onChange(trait: string, changed: () => void): void {
    this.changed.set(trait, [...(this.changed.get(trait) ?? []), changed]);
  }
  onMessage(arrived: (content: unknown, buffers?: readonly unknown[]) => void): void {
    this.arrived.push(arrived);
  }

  /** The kernel sets a trait. */
  set(name: string, value: unknown): void {
    this.state[name] = value;
    for (const changed of this.changed.get(name) ?? []) changed();
  }
  /** The kernel sends a message. */
  tell(content: unknown, buffers?: readonly unknown[]): void {
    for (const arrived of this.arrived) arrived(content, buffers);
  }
  /** Messages of one kind, in order. */
  of(kind: string): Record<string, unknown>[] {
    return this.sent.filter((content) => content.kind === kind);
  }
}
