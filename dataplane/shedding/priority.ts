/** How much a request is worth when not all can be served. */
export const PRIORITIES = ['low', 'normal', 'high', 'critical'] as const;
export type PriorityName = (typeof PRIORITIES)[number];

/** Index into PRIORITIES. */
export const CRITICAL = 3;

export function priorityOf(name: PriorityName): number {
  return PRIORITIES.indexOf(name);
}

/** A header's value: a name, or 0 (low) to 3 (critical). -1: neither. */
export function readPriority(value: string): number {
  switch (value) {
    case 'low':
    case '0':
      return 0;
    case 'normal':
    case '1':
      return 1;
    case 'high':
    case '2':
      return 2;
    case 'critical':
    case '3':
      return CRITICAL;
    default:
      return -1;
  }
}
