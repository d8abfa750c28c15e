import { Controller, Get } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { Public } from '../auth/principal.js';
import { Problem } from '../common/problem/problem.js';
import { databaseUnavailable } from '../common/problem/to-problem.js';
import { QueueService } from '../queue/queue.service.js';
import { Health } from './health.dto.js';

@ApiTags('health')
@Public()
@Controller()
export class HealthController {
  constructor(private readonly queue: QueueService) {}

  /** The process lives. Asks nothing of the database: a restart would not bring that back. */
  @Get('health')
  health(): Health {
    return { status: 'ok' };
  }

  /** The service can take requests: the database stores tasks, and no shutdown is under way. */
  @Get('ready')
  async ready(): Promise<Health> {
    if (this.queue.draining) {
      throw new Problem('draining', 'this instance is shutting down', { headers: { 'Retry-After': '5' } });
    }
    try {
      await this.queue.check();
    } catch (error) {
      // Whatever the check met: this instance cannot serve now, and nothing of it is broken.
      throw databaseUnavailable(error);
    }
    return { status: 'ok' };
  }
}
