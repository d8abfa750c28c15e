import { ApiProperty } from '@nestjs/swagger';
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

export class GoldenPathSummary {
  description: string;
  category?: string;
  tags: string[];
  estimated_duration?: string;
  @ApiProperty({ type: 'object', additionalProperties: { $ref: '#/components/schemas/ParameterView' } })
  parameters: Record<string, ParameterView>;
}

export class GoldenPathStepView {
  name: string;
  type: string;
}

export class GoldenPathView extends GoldenPathSummary {
  name: string;
  steps: GoldenPathStepView[];
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
  };
}

export function toGoldenPathView(path: GoldenPath): GoldenPathView {
  return { name: path.name, ...toSummary(path), steps: path.workflow.steps.map(({ name, type }) => ({ name, type })) };
}

function toParameterView({ allowedValues, ...definition }: ParameterDefinition): ParameterView {
  return { ...definition, ...(allowedValues ? { allowed_values: [...allowedValues] } : {}) };
}
