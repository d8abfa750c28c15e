import { ApiProperty } from '@nestjs/swagger';

export class StepTypeView {
  /** @example terraform */
  type: string;
  /** What a step of this type does, in one sentence. */
  description: string;
  /** Whether this instance has the programs that such steps need. */
  usable: boolean;
  /** The programs that are not on its PATH. */
  missing: string[];
  /** A JSON Schema of the step's `config`. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  schema: Record<string, unknown>;
}
