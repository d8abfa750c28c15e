import { referencesInValue } from '../references/references.js';
import { prepareScript } from '../references/script-references.js';
import type { StepDefinition } from '../workflow.js';

/** The first word of a reference to a secret. */
export const SECRETS = 'secrets';
/** Behind a secret's name: the path of a file that holds it. */
export const FILE = 'file';
export const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** A secret that a step refers to, by value or as a file. */
export interface SecretReference {
  readonly name: string;
  readonly asFile: boolean;
}

/** What a path such as `secrets.TOKEN` or `secrets.TOKEN.file` asks for; undefined where it asks for no secret. */
export function secretOf([first, name, kind, ...more]: readonly string[]): SecretReference | undefined {
  if (first !== SECRETS || name === undefined || !SECRET_NAME.test(name)) return undefined;
  if (more.length > 0 || (kind !== undefined && kind !== FILE)) return undefined;
  return { name, asFile: kind === FILE };
}

/** The secrets of a step, each once in each form; `scripts` are the fields of its config that hold bash scripts. */
export function secretsIn(
  { env, config }: Pick<StepDefinition, 'env' | 'config'>,
  scripts: readonly string[] = [],
): SecretReference[] {
  const found = new Map<string, SecretReference>();
  const add = (path: readonly string[]) => {
    const secret = secretOf(path);
    if (secret) found.set(path.join('.'), secret);
  };
  const values: unknown[] = [env];
  for (const [field, value] of Object.entries(config)) {
    if (typeof value !== 'string' || !scripts.includes(field)) values.push(value);
    // Walking a script takes its time: most have none.
    else if (value.includes(`{${SECRETS}.`)) Object.values(prepareScript(value).variables).forEach(add);
  }
  for (const { reference } of referencesInValue(values)) add(reference.path);
  return [...found.values()];
}
