import { Controller, Get, Inject } from '@nestjs/common';
import { ApiBearerAuth, ApiTags } from '@nestjs/swagger';
import { Requires } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { StepRegistry } from './step-registry.js';
import { STEP_OPTIONS, type StepOptions } from './step-options.js';
import { stepPath } from './steps/script-runner.js';
import type { StepTypeView } from './step-type.dto.js';

/** What steps can do here. */
@ApiTags('step types')
@ApiBearerAuth()
@ApiProblems('unauthorized')
@Controller('api/step-types')
export class StepTypesController {
  constructor(
    private readonly registry: StepRegistry,
    @Inject(STEP_OPTIONS) private readonly options: StepOptions,
  ) {}

  /** All step types by name, with the fields of each, whether this instance has the programs it needs, and how it runs them. */
  @Get()
  @Requires('catalogue:read')
  async list(): Promise<StepTypeView[]> {
    const path = stepPath({});
    const { mode = 'off', reason = 'there is none in this application' } = this.options.sandbox ?? {};
    return Promise.all(
      this.registry.types.map(async (type) => {
        const { description, schema } = this.registry.get(type)!;
        const missing = await this.registry.missingPrograms(type, {}, path);
        return { type, description, usable: missing.length === 0, missing, sandbox: { mode, reason }, schema };
      }),
    );
  }
}
