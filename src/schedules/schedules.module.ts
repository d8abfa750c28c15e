import { type DynamicModule, Module, type ModuleMetadata, type Provider } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { TaskPlanner } from '../workflows/task-planner.js';
import { FiringLoop } from './firing-loop.js';
import { FiringsService } from './firings.service.js';
import { scheduleEntities } from './schedule.entity.js';
import { ScheduleRunner } from './schedule-runner.js';
import { ScheduleStore } from './schedule-store.js';
import { SchedulesController } from './schedules.controller.js';
import { SchedulesService } from './schedules.service.js';

export interface SchedulesModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Who plans the tasks. */
  readonly planner: Extract<Provider, { useExisting: unknown }>['useExisting'];
  /** Serve `/api/schedules`. */
  readonly controller: boolean;
  /** Fire schedules that are due. */
  readonly fires: boolean;
}

@Module({})
export class SchedulesModule {
  static forRoot({ imports = [], planner, controller, fires }: SchedulesModuleOptions): DynamicModule {
    return {
      module: SchedulesModule,
      imports: [TypeOrmModule.forFeature(scheduleEntities), ...imports],
      controllers: controller ? [SchedulesController] : [],
      providers: [
        { provide: TaskPlanner, useExisting: planner as never },
        ScheduleStore,
        ScheduleRunner,
        SchedulesService,
        ...(fires ? [FiringsService, FiringLoop] : []),
      ],
    };
  }
}
