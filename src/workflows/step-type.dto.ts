import { ApiProperty } from '@nestjs/swagger';

export class SandboxView {
  /** `off`: programs of steps see what the service's user sees. */
  @ApiProperty({ enum: ['bubblewrap', 'off'] })
  mode: 'bubblewrap' | 'off';
  /** Why it is so. */
  reason: string;
}

export class StepTypeView {
  /** @example terraform */
  type: string;
  /** What a step of this type does, in one sentence. */
  description: string;
  /** Whether this instance has the programs that such steps need. */
  usable: boolean;
  /** The programs that are not on its PATH. */
  missing: string[];
  /** How this instance runs programs that steps start; the same for all types. */
  sandbox: SandboxView;
  /** A JSON Schema of the step's `config`. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  schema: Record<string, unknown>;
}
