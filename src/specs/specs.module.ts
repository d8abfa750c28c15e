import { Module } from '@nestjs/common';
import { GoldenPathsModule } from '../golden-paths/golden-paths.module.js';
import { WorkflowsModule } from '../workflows/workflows.module.js';
import { ExecutionPlanner } from './execution-planner.js';
import { SpecsService } from './specs.service.js';
import { SubmissionPlanner } from './submission-planner.js';

/** Submissions; `app.module.ts` has its controller, which not every role serves. */
@Module({
  imports: [WorkflowsModule, GoldenPathsModule],
  providers: [SpecsService, SubmissionPlanner, ExecutionPlanner],
  exports: [SpecsService, SubmissionPlanner, ExecutionPlanner],
})
export class SpecsModule {}
