import { type DynamicModule, Module, type ModuleMetadata, type Provider } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { queueEntities } from '../queue/entities.js';
import { SpecReader } from '../workflows/spec-reader.js';
import { BulkCancelController } from './bulk-cancel.controller.js';
import { BulkService } from './bulk.service.js';
import { DeadLettersController } from './dead-letters.controller.js';
import { DeadLettersService } from './dead-letters.service.js';
import { DecisionsController } from './decisions.controller.js';
import { DecisionsService } from './decisions.service.js';
import { JobsController } from './jobs.controller.js';
import { LogWatch } from './log-watch.js';
import { LogsController } from './logs.controller.js';
import { OpenAnswers } from '../common/http/open-answers.js';
import { RetriesService } from './retries.service.js';
import { TaskAccessGuard } from './task-access.guard.js';
import { TaskLogsService } from './task-logs.service.js';
import { TasksController } from './tasks.controller.js';
import { TasksService } from './tasks.service.js';
import { WhyController } from './why/why.controller.js';
import { WhyService } from './why/why.service.js';

export interface TasksModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Who reads corrected documents. */
  readonly specReader: Extract<Provider, { useExisting: unknown }>['useExisting'];
}

@Module({})
export class TasksModule {
  static forRoot({ imports = [], specReader }: TasksModuleOptions): DynamicModule {
    return {
      module: TasksModule,
      imports: [TypeOrmModule.forFeature(queueEntities), ...imports],
      controllers: [
        ...[TasksController, DecisionsController, LogsController, WhyController],
        ...[BulkCancelController, DeadLettersController, JobsController],
      ],
      providers: [
        TasksService,
        DecisionsService,
        RetriesService,
        DeadLettersService,
        BulkService,
        TaskLogsService,
        WhyService,
        LogWatch,
        TaskAccessGuard,
        OpenAnswers,
        { provide: SpecReader, useExisting: specReader as never },
      ],
    };
  }
}
