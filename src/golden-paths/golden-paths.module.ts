import { Module } from '@nestjs/common';
import { WorkflowsModule } from '../workflows/workflows.module.js';
import { GoldenPathsController } from './golden-paths.controller.js';
import { GoldenPathsService } from './golden-paths.service.js';

@Module({
  imports: [WorkflowsModule],
  controllers: [GoldenPathsController],
  providers: [GoldenPathsService],
  exports: [GoldenPathsService],
})
export class GoldenPathsModule {}
