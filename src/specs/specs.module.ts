import { Module } from '@nestjs/common';
import { WorkflowsModule } from '../workflows/workflows.module.js';
import { SpecsController } from './specs.controller.js';
import { SpecsService } from './specs.service.js';

@Module({ imports: [WorkflowsModule], controllers: [SpecsController], providers: [SpecsService] })
export class SpecsModule {}
