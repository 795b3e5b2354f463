/** placeholder */
export function regexProblem(pattern: string): string | null {
  try {
    new RegExp(pattern);
    return null;
  } catch (error) {
    return `must be a regular expression: ${(error as Error).message}`;
  }
}
