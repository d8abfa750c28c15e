import { Controller, Get } from '@nestjs/common';
import { ApiBearerAuth, ApiTags } from '@nestjs/swagger';
import { Requires, Scopes } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { QueueService } from './queue.service.js';
import { ActiveTasks, QueueStats } from './queue-stats.dto.js';

/** What goes on in the queue, over all instances. */
@ApiTags('queue')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/queue')
export class QueueController {
  constructor(private readonly queue: QueueService) {}

  /** The queue's numbers. */
  @Get('stats')
  @Requires('queue:read')
  stats(): Promise<QueueStats> {
    return this.queue.getStats();
  }

  /** The tasks that run now. */
  @Get('active-tasks')
  @Requires('tasks:read')
  activeTasks(@Scopes() apps: readonly string[] | undefined): Promise<ActiveTasks> {
    return this.queue.getActiveTasks(apps);
  }
}
