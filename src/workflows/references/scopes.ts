/** First words of references that no step can have as its name. */
export const SCOPES = ['metadata', 'environment', 'resources', 'parameters', 'workflow', 'secrets'] as const;

/** `metadata`, and `metadata.x` too: a reference to such a step would mean something else. */
export function isScopeName(stepName: string): boolean {
  return (SCOPES as readonly string[]).includes(stepName.split('.')[0]!);
}

/** What a step's end is called in references: `build.success`. */
export const STEP_RESULTS = ['success', 'failed', 'skipped'] as const;
