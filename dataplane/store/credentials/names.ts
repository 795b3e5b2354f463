/** Names of consumers and groups: they go into header fields, lists with commas, and the user part of Basic. */
const MAX_NAME = 253;
const MAX_GROUPS = 64;

/** Undefined: all right. Lone surrogates have no UTF-8 form, and another normal form would look the same. */
export function nameProblem(name: string): string | undefined {
  if (name === '' || name.length > MAX_NAME) return `the name of a consumer has 1 to ${MAX_NAME} characters`;
  if (/[\x00-\x1f\x7f:]/.test(name)) return 'the name of a consumer holds no colon and no control characters';
  if (name.trim() !== name) return 'the name of a consumer begins and ends with something else than a space';
  if (!name.isWellFormed() || name.normalize('NFC') !== name)
    return 'the name of a consumer is well-formed Unicode in NFC';
  return undefined;
}

export function groupsProblem(groups: readonly string[]): string | undefined {
  if (groups.length > MAX_GROUPS) return `a consumer has at most ${MAX_GROUPS} groups`;
  const bad = groups.find(
    (group) => group === '' || group.length > MAX_NAME || group.trim() !== group || /[\x00-\x1f\x7f,]/.test(group),
  );
  if (bad === undefined) return undefined;
  return `the group ${JSON.stringify(bad)} must have 1 to ${MAX_NAME} characters without commas, control characters and spaces around it`;
}
