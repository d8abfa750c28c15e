import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { didYouMean } from '../common/did-you-mean.js';
import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import { resolveEnv } from '../workflows/reading/references.js';
import { StepRegistry } from '../workflows/step-registry.js';
import type { Workflow } from '../workflows/workflow.js';
import { type Catalogue, CatalogueError, type GoldenPath } from './golden-path.js';
import { loadCatalogue } from './load-catalogue.js';
import { checkParameters } from './parameters.js';

/** The document's part in what a golden path's steps can refer to. */
export interface DocumentScope {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, unknown>>;
}

/** The catalogue, read at the start; with an error in it the service does not start. */
@Injectable()
export class GoldenPathsService implements OnModuleInit {
  private readonly logger = new Logger('GoldenPaths');
  private catalogue: Catalogue = new Map();

  constructor(
    private readonly settings: Settings,
    private readonly registry: StepRegistry,
  ) {}

  async onModuleInit(): Promise<void> {
    const { GOLDEN_PATHS_FILE: file, DEFAULT_GOLDEN_PATH, MAX_STEPS } = this.settings;
    this.catalogue = await loadCatalogue(file, this.registry.rules(MAX_STEPS));
    if (!this.catalogue.has(DEFAULT_GOLDEN_PATH)) {
      throw new CatalogueError([
        `${file}: has no golden path '${DEFAULT_GOLDEN_PATH}'. Add it, or set DEFAULT_GOLDEN_PATH to another.`,
      ]);
    }
    this.logger.log({ msg: `${this.catalogue.size} golden paths`, file, golden_paths: [...this.catalogue.keys()] });
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
   * The path's own steps, with the parameters filled in. Problems of the parameters are returned with their names behind
   * `prefix`; with any, the steps are not to be run.
   */
  prepare(
    path: GoldenPath,
    given: Readonly<Record<string, unknown>>,
    document: DocumentScope,
    prefix: string,
  ): { workflow: Workflow; parameters: Record<string, string>; problems: ProblemItem[] } {
    const { values, problems } = checkParameters(path.parameters, given, prefix);
    // A parameter without a value is empty in a script, not an error.
    const empty = Object.fromEntries(Object.keys(path.parameters).map((name) => [name, '']));
    const scope = { ...document, parameters: { ...empty, ...values } };
    const steps = path.workflow.steps.map((step) => {
      const { env, missing } = resolveEnv(step.env, scope);
      for (const { reference } of missing) {
        const message = `step '${step.name}' needs \${${reference}}, which the document does not have`;
        if (problems.every((problem) => problem.message !== message)) problems.push({ path: reference, message });
      }
      return { ...step, env };
    });
    return { workflow: { ...path.workflow, steps }, parameters: values, problems };
  }
}
