/** A place a policy can be attached to. */

export type Slot =
  | { readonly level: 'gateway' }
  | { readonly level: 'namespace'; readonly namespace: string }
  | { readonly level: 'route'; readonly namespace: string; readonly route: string }
  | { readonly level: 'rule'; readonly namespace: string; readonly route: string; readonly rule: string }
  /** What rules send to one Backend: below any rule. */
  | { readonly level: 'backend'; readonly namespace: string; readonly backend: string };

export type SlotKey = string & { readonly slotKey: never };

export function slotKey(slot: Slot): SlotKey {
  switch (slot.level) {
    case 'gateway':
      return 'gateway' as SlotKey;
    case 'namespace':
      return `namespace/${slot.namespace}` as SlotKey;
    case 'route':
      return `route/${slot.namespace}/${slot.route}` as SlotKey;
    case 'rule':
      return `rule/${slot.namespace}/${slot.route}/${slot.rule}` as SlotKey;
    case 'backend':
      return `backend/${slot.namespace}/${slot.backend}` as SlotKey;
  }
}

/** What a slot inherits from, the widest first. Of a Backend the part that is the same for all rules that use it. */
export function slotsAbove(slot: Slot): Slot[] {
  const above: Slot[] = [];
  if (slot.level === 'gateway') return above;
  above.push({ level: 'gateway' });
  if (slot.level === 'namespace') return above;
  above.push({ level: 'namespace', namespace: slot.namespace });
  if (slot.level === 'route' || slot.level === 'backend') return above;
  above.push({ level: 'route', namespace: slot.namespace, route: slot.route });
  return above;
}
