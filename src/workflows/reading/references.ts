/** What a step's `env` may refer to, by the first word of the reference. */
export const SCOPES = ['metadata', 'parameters', 'environment'] as const;

export type Scope = Readonly<Record<(typeof SCOPES)[number], unknown>>;

/** `${metadata.name}`: only names with a dot are ours; `${NAME}` is left to whoever reads the value. */
const REFERENCE = /\$\{([A-Za-z_][\w-]*(?:\.[\w-]+)+)\}/g;

/** The references in a text, e.g. `parameters.replicas`. */
export function referencesIn(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map((match) => match[1]!);
}

/** The environment with each reference replaced; `missing` lists those that the scope has no single value for. */
export function resolveEnv(
  env: Readonly<Record<string, string>>,
  scope: Scope,
): { env: Record<string, string>; missing: { variable: string; reference: string }[] } {
  const missing: { variable: string; reference: string }[] = [];
  const resolved = Object.entries(env).map(([variable, text]) => [
    variable,
    text.replace(REFERENCE, (whole, reference: string) => {
      const value = lookUp(scope, reference.split('.'));
      if (value === undefined) missing.push({ variable, reference });
      return value ?? whole;
    }),
  ]);
  return { env: Object.fromEntries(resolved) as Record<string, string>, missing };
}

function lookUp(scope: Scope, path: string[]): string | undefined {
  let value: unknown = scope;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  if (typeof value === 'object' || value === undefined) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
