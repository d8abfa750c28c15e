import { ApiProperty } from '@nestjs/swagger';
import type { ProblemItem } from '../common/problem/problem.js';
import { planOf } from '../workflows/plan.js';
import { STEP_CONDITIONS, type StepCondition } from '../workflows/workflow.js';
import type { ConcurrencyRule } from './concurrency.js';
import type { GoldenPath } from './golden-path.js';
import { PARAMETER_TYPES, type ParameterDefinition } from './parameters.js';

export class ParameterView {
  @ApiProperty({ enum: PARAMETER_TYPES })
  type: string;
  description?: string;
  default?: string;
  required: boolean;
  pattern?: string;
  allowed_values?: string[];
  min?: string;
  max?: string;
}

export class ConcurrencyView {
  /** With references, one value for each submission. */
  key: string;
  /** How many tasks of one key may run at once. */
  limit: number;
  @ApiProperty({ enum: ['queue', 'replace', 'reject'] })
  when_full: string;
}

export class GoldenPathSummary {
  description: string;
  category?: string;
  tags: string[];
  estimated_duration?: string;
  @ApiProperty({ type: 'object', additionalProperties: { $ref: '#/components/schemas/ParameterView' } })
  parameters: Record<string, ParameterView>;
  concurrency?: ConcurrencyView;
}

export class GoldenPathStepView {
  name: string;
  type: string;
  @ApiProperty({ enum: STEP_CONDITIONS })
  when: StepCondition;
  /** The steps that must have ended before it, whether by `dependsOn` or by the order of writing. */
  depends_on: string[];
}

export class SecretsView {
  /** The names of those that its own steps use. */
  uses: string[];
  /** Names, and patterns such as `DB_*`, of those that it may use. */
  allowed: string[];
  /** Whether steps of a document may use them too. */
  for_inline: boolean;
}

export class GoldenPathView extends GoldenPathSummary {
  name: string;
  steps: GoldenPathStepView[];
  secrets: SecretsView;
}

export function toSummary(path: GoldenPath): GoldenPathSummary {
  return {
    description: path.description,
    category: path.category,
    tags: [...path.tags],
    estimated_duration: path.estimatedDuration,
    parameters: Object.fromEntries(
      Object.entries(path.parameters).map(([name, definition]) => [name, toParameterView(definition)]),
    ),
    ...(path.concurrency && { concurrency: toConcurrencyView(path.concurrency) }),
  };
}

export function toGoldenPathView(path: GoldenPath): GoldenPathView {
  const { steps } = planOf(path.workflow.steps);
  return {
    name: path.name,
    ...toSummary(path),
    steps: steps.map(({ step: { name, type, when = 'on_success' }, needs }) => ({
      name,
      type,
      when,
      depends_on: needs.map((need) => steps[need]!.step.name),
    })),
    secrets: {
      uses: [...(path.usedSecrets ?? [])],
      allowed: [...(path.secrets?.allowed ?? [])],
      for_inline: path.secrets?.forInline ?? false,
    },
  };
}

const toConcurrencyView = ({ key, limit, whenFull: when_full }: ConcurrencyRule): ConcurrencyView => ({
  key,
  limit,
  when_full,
});

function toParameterView({ allowedValues, ...definition }: ParameterDefinition): ParameterView {
  return { ...definition, ...(allowedValues ? { allowed_values: [...allowedValues] } : {}) };
}

export class CatalogueReloaded {
  golden_paths: string[];
}

export class CatalogueFault implements ProblemItem {
  /** As seen from the catalogue's folder; absent for errors in the text that was sent. */
  file?: string;
  path?: string;
  line?: number;
  column?: number;
  message: string;
  hint?: string;
}

export class CatalogueValidation {
  valid: boolean;
  /** The names of those that are right. */
  golden_paths: string[];
  errors: CatalogueFault[];
}
