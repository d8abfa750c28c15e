import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { queueEntities } from '../queue/entities.js';
import { LogWatch } from './log-watch.js';
import { LogsController } from './logs.controller.js';
import { OpenAnswers } from './open-answers.js';
import { TaskLogsService } from './task-logs.service.js';
import { TasksController } from './tasks.controller.js';
import { TasksService } from './tasks.service.js';

@Module({
  imports: [TypeOrmModule.forFeature(queueEntities)],
  controllers: [TasksController, LogsController],
  providers: [TasksService, TaskLogsService, LogWatch, OpenAnswers],
})
export class TasksModule {}
