import type { DocumentPath } from '../../common/yaml/document-path.js';
import { placeInStep } from './step-config.js';

/** Keys of a step in its document, by the names of its definition's fields. */
const WRITTEN = { continueOnError: 'continue_on_error', timeoutSeconds: 'timeout', parallelGroup: 'parallel' } as const;

/** Where the parts of a workflow stand in the document it was read from. */
export class WorkflowPlaces {
  constructor(
    /** Each part's place, by its key: `steps`, `variables`, `outputs` … */
    private readonly parts: ReadonlyMap<string, DocumentPath>,
    /** For each step, the fields of its type that stand beside its common keys. */
    private readonly flat: readonly ReadonlySet<string>[],
    /** For each step, the fields that stand there as one value instead of a list. */
    private readonly single: readonly ReadonlySet<string>[],
  ) {}

  part(key: string, ...path: DocumentPath): DocumentPath {
    return [...(this.parts.get(key) ?? [key]), ...path];
  }

  /** `path` leads from the step's definition, e.g. `['config', 'headers', 'X-Key']`. */
  step(index: number, path: DocumentPath = []): DocumentPath {
    const [field, ...below] = path;
    const rest = this.single[index]!.has(String(field)) ? [] : below;
    const written = field === 'config' ? placeInStep(rest, this.flat[index]!) : [writtenAs(field), ...rest];
    return this.part('steps', index, ...(path.length === 0 ? [] : written));
  }
}

function writtenAs(field: string | number | undefined): string | number {
  return (typeof field === 'string' && (WRITTEN as Record<string, string>)[field]) || (field ?? '');
}
