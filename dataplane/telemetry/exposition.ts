/** A metric family as it is handed to the registry. */
type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly value: number;
  readonly labels: Labels;
  readonly metricName?: string;
}

export interface Described {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly values: readonly Sample[];
}

export function one(value: number): Sample[] {
  return [{ value, labels: {} }];
}

export function counter(name: string, help: string, values: readonly Sample[]): Described {
  return { name, type: 'counter', help, values };
}

export function gauge(name: string, help: string, value: number): Described {
  return { name, type: 'gauge', help, values: one(value) };
}
