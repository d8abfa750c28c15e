import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeTree } from '../remove-tree.js';
import type { Scope } from '../references/references.js';
import { SecretMasks } from './secret-masks.js';
import { secretOf, type SecretReference } from './secret-references.js';
import { SecretError, type SecretSource } from './secret-source.js';

/** What one try of a step gets. */
export interface StepSecrets {
  /** Its references, secrets among them. */
  readonly scope: Scope;
  readonly isEmpty: boolean;
  /** Removes the files that hold them. */
  remove(): Promise<void>;
}

/** The secrets that one run uses: read when a step begins, and masked in all that the run says from then on. */
export class RunSecrets {
  readonly masks = new SecretMasks();

  constructor(
    private readonly source: SecretSource,
    /** The folder for files. */
    private readonly runDir: string,
    private readonly scope: Scope,
  ) {}

  /** Masks these from the start: earlier runs may have left them in the workspace. */
  expect(names: Iterable<string>): void {
    for (const name of names) {
      try {
        this.masks.add(this.source.read(name).value);
      } catch (error) {
        // The step that needs it says so, if it comes to that.
        if (!(error instanceof SecretError)) throw error;
      }
    }
  }

  /** Reads what a step refers to, all of it before anything of it is used. Throws a SecretError. */
  give(references: readonly SecretReference[]): StepSecrets {
    const secrets = references.map((reference) => ({ ...reference, ...this.source.read(reference.name) }));
    for (const { value } of secrets) this.masks.add(value);
    const files = secrets.filter(({ asFile }) => asFile);
    const folder = join(this.runDir, `secrets-${randomUUID()}`);
    if (files.length > 0) writeFiles(folder, Object.fromEntries(files.map(({ name, content }) => [name, content])));
    const entries = secrets.map(({ name, asFile, value }) => {
      return [keyOf({ name, asFile }), asFile ? join(folder, name) : value] as const;
    });
    return {
      scope: new SecretScope(this.scope, new Map(entries)),
      isEmpty: secrets.length === 0,
      remove: async () => (files.length > 0 ? removeTree(folder) : undefined),
    };
  }
}

/** For their owner alone; all of them, or nothing. */
function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { mode: 0o700 });
  try {
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(folder, name), text, { mode: 0o600, flag: 'wx' });
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

class SecretScope implements Scope {
  constructor(
    private readonly others: Scope,
    private readonly values: ReadonlyMap<string, string>,
  ) {}

  lookUp(path: readonly string[]): string | undefined {
    const secret = secretOf(path);
    return secret ? this.values.get(keyOf(secret)) : this.others.lookUp(path);
  }

  whyMissing(path: readonly string[]): string {
    return this.others.whyMissing?.(path) ?? '';
  }
}

function keyOf({ name, asFile }: SecretReference): string {
  return asFile ? `${name}.file` : name;
}
