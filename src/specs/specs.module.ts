import { Module } from '@nestjs/common';
import { GoldenPathsModule } from '../golden-paths/golden-paths.module.js';
import { WorkflowsModule } from '../workflows/workflows.module.js';
import { SpecsController } from './specs.controller.js';
import { SpecsService } from './specs.service.js';
import { SubmissionPlanner } from './submission-planner.js';

@Module({
  imports: [WorkflowsModule, GoldenPathsModule],
  controllers: [SpecsController],
  providers: [SpecsService, SubmissionPlanner],
  exports: [SubmissionPlanner],
})
export class SpecsModule {}
