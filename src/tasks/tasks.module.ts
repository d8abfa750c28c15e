import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { queueEntities } from '../queue/entities.js';
import { TasksController } from './tasks.controller.js';
import { TasksService } from './tasks.service.js';

@Module({
  imports: [TypeOrmModule.forFeature(queueEntities)],
  controllers: [TasksController],
  providers: [TasksService],
})
export class TasksModule {}
