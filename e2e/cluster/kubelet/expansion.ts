/**
 * Replaces `$(NAME)` by the value of NAME, as Kubernetes does in command, args and env values: `$$(NAME)` stays `$(NAME)`,
 * and a name that is not defined stays as written.
 */
export function expandReferences(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^()]*)\))/g, (whole, tail: string, name: string | undefined) => {
    if (tail === '$') return '$';
    return name !== undefined && Object.hasOwn(values, name) ? (values[name] ?? '') : whole;
  });
}
