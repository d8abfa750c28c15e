import { Controller, Get, Param, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiTags } from '@nestjs/swagger';
import { Requires } from '../../auth/principal.js';
import { ApiProblems } from '../../common/http/api-problems.decorator.js';
import { TaskAccessGuard } from '../task-access.guard.js';
import { TaskIdPipe } from '../task-id.pipe.js';
import { TaskWhy } from './why.dto.js';
import { WhyService } from './why.service.js';

/** Why tasks are as they are. */
@ApiTags('tasks')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@UseGuards(TaskAccessGuard)
@Controller('api/tasks')
export class WhyController {
  constructor(private readonly reasons: WhyService) {}

  /**
   * Of a task that waits: the one thing it waits for, its place in line, and when it will likely start and end, by the
   * past runs of its workflow. Of one that runs: the step under way and its likely end. Of one that ended: why so.
   */
  @Get(':id/why')
  @Requires('tasks:read')
  @ApiProblems('task_not_found')
  why(@Param('id', TaskIdPipe) id: string): Promise<TaskWhy> {
    return this.reasons.why(id);
  }
}
