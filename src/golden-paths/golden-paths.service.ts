import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { didYouMean } from '../common/did-you-mean.js';
import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import type { Scope } from '../workflows/references/references.js';
import { workspacesDir } from '../workflows/read-step-options.js';
import { StepRegistry } from '../workflows/step-registry.js';
import { CatalogueError, type Catalogue, type GoldenPath } from './golden-path.js';
import { loadCatalogue } from './load-catalogue.js';
import { checkParameters } from './parameters.js';
import { type CatalogueVerdict, errorsOf, validateText, verdictOf } from './validate-catalogue.js';

/** The catalogue, read at the start and on demand; with an error in it the service does not start. */
@Injectable()
export class GoldenPathsService implements OnModuleInit {
  private readonly logger = new Logger('GoldenPaths');
  private catalogue: Catalogue = new Map();

  constructor(
    private readonly settings: Settings,
    private readonly registry: StepRegistry,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.load();
  }

  /** Reads the catalogue anew. With an error in it the old one stays in force: all is logged, and thrown as a Problem. */
  async reload(): Promise<readonly string[]> {
    try {
      await this.load();
    } catch (error) {
      const lines = error instanceof CatalogueError ? error.lines : [String(error)];
      const msg = 'The catalogue cannot be read: the old one stays in force';
      this.logger.error({ msg, errors: lines.slice(0, 100) });
      if (!(error instanceof CatalogueError)) throw error;
      const { faults } = error;
      const errors = errorsOf(this.settings.GOLDEN_PATHS_FILE, faults);
      const detail = `${faults.length === 1 ? 'One error' : `${faults.length} errors`} in the catalogue; the old one stays in force.`;
      throw new Problem('invalid_catalogue', detail, { errors, cause: error });
    }
    return [...this.catalogue.keys()];
  }

  /** What is wrong with a text, a catalogue or workflows; without one, with the catalogue as it stands on disk. */
  async validate(body: Buffer | undefined, contentType: string | undefined): Promise<CatalogueVerdict> {
    const { GOLDEN_PATHS_FILE: file } = this.settings;
    if (body !== undefined && body.length > 0) {
      return validateText(body, contentType, {
        file,
        rules: this.rules(),
        closed: this.closed(),
        inForce: this.catalogue,
      });
    }
    try {
      return verdictOf(file, [...(await this.read()).keys()], []);
    } catch (error) {
      if (!(error instanceof CatalogueError)) throw error;
      return verdictOf(file, [], error.faults);
    }
  }

  all(): readonly GoldenPath[] {
    return [...this.catalogue.values()];
  }

  /** Throws a Problem (404) with what was probably meant. */
  get(name: string): GoldenPath {
    const path = this.catalogue.get(name);
    if (path) return path;
    const meant = didYouMean(name, [...this.catalogue.keys()]);
    const hint = meant ? `Did you mean '${meant}'?` : `There are: ${[...this.catalogue.keys()].join(', ')}.`;
    const message = `there is no golden path '${name.slice(0, 80)}'`;
    throw new Problem('golden_path_not_found', message, { errors: [{ path: 'golden_path', message, hint }] });
  }

  /**
   * The values of the path's parameters; one that has none is empty. Problems of what was given name it behind `prefix`.
   * `document` is asked for all that the path's own workflow needs of it: leave it out where another workflow is run.
   */
  prepare(
    path: GoldenPath,
    given: Readonly<Record<string, unknown>>,
    prefix: string,
    document?: Scope,
  ): { parameters: Record<string, string>; problems: ProblemItem[] } {
    const { values, problems } = checkParameters(path.parameters, given, prefix);
    for (const { step, path: reference } of document ? path.needs : []) {
      if (document!.lookUp(reference) !== undefined) continue;
      const name = reference.join('.');
      const who = step === undefined ? 'the workflow' : `step '${step}'`;
      problems.push({ path: name, message: `${who} needs \${${name}}, which the document does not have` });
    }
    const empty = Object.fromEntries(Object.keys(path.parameters).map((name) => [name, '']));
    return { parameters: { ...empty, ...values }, problems };
  }

  private async load(): Promise<void> {
    this.catalogue = await this.read();
    const golden_paths = [...this.catalogue.keys()];
    this.logger.log({
      msg: `${golden_paths.length} golden paths`,
      file: this.settings.GOLDEN_PATHS_FILE,
      golden_paths,
    });
  }

  private read(): Promise<Catalogue> {
    const { GOLDEN_PATHS_FILE: file, DEFAULT_GOLDEN_PATH } = this.settings;
    return loadCatalogue(file, this.rules(), DEFAULT_GOLDEN_PATH);
  }

  /** By default all of these lie beside the catalogue: the text of a caller must not have them read. */
  private closed(): string[] {
    const { DATA_DIR, SECRETS_DIR } = this.settings;
    return [DATA_DIR, workspacesDir(this.settings), ...(SECRETS_DIR === undefined ? [] : [SECRETS_DIR])];
  }

  private rules() {
    return this.registry.rules(this.settings.MAX_STEPS);
  }
}
