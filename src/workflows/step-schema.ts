import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { explainErrors, type SchemaNode, type Wording } from '../common/schema/explain-errors.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { referencesIn } from './references/references.js';
import { STEP_FORMATS } from './step-formats.js';
import type { StepConfig, StepProblem, StepSchema } from './step-runner.js';

/** `strictRequired` would want the alternatives of a schema repeated in each branch; `verbose` gives errors their rule. */
const OPTIONS = {
  allErrors: true,
  verbose: true,
  strict: true,
  strictRequired: false,
  strictTypes: false,
  allowUnionTypes: true,
} as const;

/** What can be wrong with a text whose value is known only at run time, because it holds a reference. */
const OPEN_KEYWORDS = new Set(['enum', 'const', 'pattern', 'format', 'minLength', 'maxLength']);
const SCALARS = ['string', 'number', 'integer', 'boolean'];

/** The compiled schema of one step type. */
export class CompiledSchema {
  private readonly plain: ValidateFunction;
  /** Made at the first use, which many instances and types never see: it costs as much of a start as `plain`. */
  private coercing: ValidateFunction | undefined;

  /** Throws where the schema itself is wrong. */
  constructor(private readonly schema: StepSchema) {
    this.plain = compilers.plain.compile(schema);
  }

  /** The problems that no value of a reference can solve. */
  problems(config: StepConfig): StepProblem[] {
    if (this.plain(config)) return [];
    return this.explain(
      (this.plain.errors ?? []).filter((error) => !isOpen(error)),
      config,
    );
  }

  /** For a config without references: its numbers and booleans as such where the schema wants them, and its problems. */
  resolve(config: StepConfig): { config: StepConfig; problems: StepProblem[] } {
    const coerced = structuredClone(config);
    this.coercing ??= compilers.coercing.compile(this.schema);
    if (this.coercing(coerced)) return { config: coerced, problems: [] };
    return { config: coerced, problems: this.explain(this.coercing.errors ?? [], coerced) };
  }

  private explain(errors: readonly ErrorObject[], config: StepConfig): StepProblem[] {
    return explainErrors(errors, config, this.wording);
  }

  private readonly wording: Wording = {
    ruleOf,
    missingHint: (path, property) => {
      const example = this.exampleOf(path.length === 0 ? property : undefined);
      return example === undefined ? undefined : `Add "${property}: ${example}".`;
    },
  };

  private exampleOf(property: string | undefined): string | undefined {
    const properties = this.schema.properties;
    const field = property !== undefined && isMapping(properties) ? properties[property] : undefined;
    const examples = isMapping(field) ? field.examples : undefined;
    if (!Array.isArray(examples)) return undefined;
    const example: unknown = examples[0];
    return typeof example === 'string' ? example : JSON.stringify(example);
  }
}

function ruleOf({ format }: SchemaNode): string | undefined {
  return format === undefined ? undefined : STEP_FORMATS[format]?.rule;
}

function isOpen({ keyword, data, params, propertyName }: ErrorObject): boolean {
  if (propertyName !== undefined || typeof data !== 'string' || referencesIn(data).length === 0) return false;
  if (keyword !== 'type') return OPEN_KEYWORDS.has(keyword);
  return [(params as { type: string | string[] }).type].flat().some((type) => SCALARS.includes(type));
}

function compiler(coerceTypes: boolean): Ajv2020 {
  // One look at a schema itself is enough.
  const ajv = new Ajv2020({ ...OPTIONS, coerceTypes, ...(coerceTypes ? { meta: false, validateSchema: false } : {}) });
  for (const [name, format] of Object.entries(STEP_FORMATS)) {
    ajv.addFormat(name, { type: 'string', validate: (text: string) => format.test(text) });
  }
  return ajv;
}

const compilers = { plain: compiler(false), coercing: compiler(true) };
