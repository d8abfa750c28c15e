import { Inject, Injectable, type OnModuleInit, Optional } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { Programs } from './programs.js';
import type { StepRules } from './reading/read-workflow.js';
import { STEP_OPTIONS, type StepOptions } from './step-options.js';
import type { StepConfig, StepProblem, StepRunner } from './step-runner.js';
import { CompiledSchema } from './step-schema.js';
import { StepType } from './step-type.decorator.js';

interface Entry {
  readonly runner: StepRunner;
  readonly schema: CompiledSchema;
}

/** All step types of the application: every provider that carries `@StepType('…')`. */
@Injectable()
export class StepRegistry implements OnModuleInit {
  private readonly entries = new Map<string, Entry>();

  private readonly programs: Programs;
  /** What a message about a missing program adds where steps do not see all that is here. */
  readonly whereToLook: string = '';

  constructor(
    private readonly discovery: DiscoveryService,
    @Optional() @Inject(STEP_OPTIONS) options?: StepOptions,
  ) {
    const view = options?.sandbox?.bubblewrap?.view;
    this.programs = new Programs(view && ((file) => view.shows(file)));
    if (view) this.whereToLook = ', or not where steps in its sandbox can see it (STEP_SANDBOX_BIND)';
  }

  onModuleInit(): void {
    for (const provider of this.discovery.getProviders({ metadataKey: StepType.KEY })) {
      const type = this.discovery.getMetadataByDecorator(StepType, provider);
      const runner = provider.instance as StepRunner | undefined;
      if (type === undefined || !runner) continue;
      const other = this.get(type);
      if (other && other !== runner) {
        const names = `${other.constructor.name} and ${runner.constructor.name}`;
        throw new Error(`two runners for step type '${type}': ${names}. Give one another @StepType, or remove it.`);
      }
      if (!other) this.entries.set(type, { runner, schema: compile(type, runner) });
    }
  }

  get types(): string[] {
    return [...this.entries.keys()].sort();
  }

  /** How the steps of a document are checked. */
  rules(maxSteps: number): StepRules {
    return {
      stepTypes: this.types,
      validateConfig: (type, config) => this.validateConfig(type, config),
      scriptsOf: (type) => this.get(type)?.scripts ?? [],
      secretsOf: (type, config) => {
        const places = this.get(type)?.secrets;
        const hint = places?.hint;
        return { fields: places?.fields(config) ?? [], ...(hint === undefined ? {} : { hint }) };
      },
      maxSteps,
    };
  }

  /** The runner of a type that the registry lists. */
  get(type: string): StepRunner | undefined {
    return this.entries.get(type)?.runner;
  }

  /** What is wrong with a config as it was written; a text that holds a reference may become anything. */
  validateConfig(type: string, config: StepConfig): StepProblem[] {
    const { runner, schema } = this.entry(type);
    const problems = schema.problems(config);
    return problems.length > 0 ? problems : (runner.check?.(config) ?? []);
  }

  /** What is wrong with a config whose references are resolved, and the config as the runner takes it. */
  validateResolved(type: string, config: StepConfig): { config: StepConfig; problems: StepProblem[] } {
    const { runner, schema } = this.entry(type);
    const resolved = schema.resolve(config);
    if (resolved.problems.length > 0) return resolved;
    return { config: resolved.config, problems: runner.check?.(resolved.config) ?? [] };
  }

  /** The programs that a step with this config needs and that it would find in no folder of the PATH. */
  async missingPrograms(type: string, config: StepConfig, path: string): Promise<string[]> {
    return this.programs.missingFrom(path, this.entry(type).runner.programs?.(config) ?? []);
  }

  private entry(type: string): Entry {
    const entry = this.entries.get(type);
    if (!entry) throw new Error(`there is no runner for step type '${type}': known are ${this.types.join(', ')}`);
    return entry;
  }
}

function compile(type: string, { schema, constructor }: StepRunner): CompiledSchema {
  try {
    return new CompiledSchema(schema);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`the schema of step type '${type}' is wrong: ${reason}. Correct 'schema' in ${constructor.name}.`, {
      cause: error,
    });
  }
}
