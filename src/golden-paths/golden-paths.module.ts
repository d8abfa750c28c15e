import { Module } from '@nestjs/common';
import { WorkflowsModule } from '../workflows/workflows.module.js';
import { GoldenPathsService } from './golden-paths.service.js';

/** The catalogue; `app.module.ts` has its controller, which not every role serves. */
@Module({
  imports: [WorkflowsModule],
  providers: [GoldenPathsService],
  exports: [GoldenPathsService],
})
export class GoldenPathsModule {}
