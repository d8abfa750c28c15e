import type { StepRules } from '../workflows/reading/read-workflow.js';
import { CatalogueFiles } from './catalogue-files.js';
import { type Catalogue, CatalogueError } from './golden-path.js';
import { readCatalogue } from './read-catalogue.js';

/**
 * Reads the catalogue and the workflow files it names, all of them before it complains: the CatalogueError has every
 * error. `needed` is a golden path that must be in it.
 */
export async function loadCatalogue(file: string, rules: StepRules, needed?: string): Promise<Catalogue> {
  const files = new CatalogueFiles(file);
  const [document, second] = (await files.documents(file, 'Set GOLDEN_PATHS_FILE to the catalogue.')) ?? [];
  if (second)
    files.note(file, second, [{ path: [], message: 'the catalogue must be one document, and here is another' }]);
  const catalogue = document && (await readCatalogue(document, file, files, rules));
  if (needed !== undefined && files.faults.length === 0 && !catalogue?.has(needed)) {
    const hint = 'Add it, or set DEFAULT_GOLDEN_PATH to another.';
    files.faults.push({ file, message: `there is no golden path '${needed}'`, hint });
  }
  if (files.faults.length > 0 || !catalogue) throw new CatalogueError(files.faults);
  return catalogue;
}
