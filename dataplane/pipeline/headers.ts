/**
 * Header fields as they came, in order, duplicates kept (RFC 9110 section 5.3). Names are lower-case throughout the data
 * plane. One flat array: no object a header.
 */
export class Headers {
  /** name, value, name, value, … */
  readonly fields: string[];

  constructor(fields: string[] = []) {
    this.fields = fields;
  }

  get count(): number {
    return this.fields.length >> 1;
  }

  /** The first value of a lower-case name, or undefined. */
  get(name: string): string | undefined {
    const fields = this.fields;
    const { length } = name;
    for (let i = 0; i < fields.length; i += 2) {
      // Names are seldom the same string: what differs in length need not be compared by a call.
      const other = fields[i] as string;
      if (other.length === length && other === name) return fields[i + 1];
    }
    return undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** All values joined by `, ` (RFC 9110 section 5.2); not for set-cookie. */
  getCombined(name: string): string | undefined {
    const fields = this.fields;
    const { length } = name;
    let out: string | undefined;
    for (let i = 0; i < fields.length; i += 2) {
      const other = fields[i] as string;
      if (other.length === length && other === name)
        out = out === undefined ? fields[i + 1] : `${out}, ${fields[i + 1]}`;
    }
    return out;
  }

  add(name: string, value: string): void {
    this.fields.push(name, value);
  }

  /** Replaces the first field of that name in place and drops the others; adds it where there is none. */
  set(name: string, value: string): void {
    const fields = this.fields;
    const { length } = name;
    for (let i = 0; i < fields.length; i += 2) {
      const other = fields[i] as string;
      if (other.length === length && other === name) {
        fields[i + 1] = value;
        this.removeFrom(name, i + 2);
        return;
      }
    }
    fields.push(name, value);
  }

  remove(name: string): void {
    this.removeFrom(name, 0);
  }

  private removeFrom(name: string, start: number): void {
    const fields = this.fields;
    const { length } = name;
    let to = start;
    for (let i = start; i < fields.length; i += 2) {
      const other = fields[i] as string;
      if (other.length === length && other === name) continue;
      if (to !== i) {
        fields[to] = other;
        fields[to + 1] = fields[i + 1] as string;
      }
      to += 2;
    }
    // Writing the length is a call into the runtime, even where nothing changes.
    while (fields.length > to) fields.pop();
  }
}
