import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { may, roleRequired } from '../auth/access.js';
import { type AuthenticatedRequest, type Principal, REQUIREMENT, type Requirement } from '../auth/principal.js';
import { matchesAny } from '../common/app-patterns.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { noSuchTask } from './tasks.service.js';

/**
 * Stands before every route of one task (`:id`): a task out of the caller's scopes is none, and a verb that is the
 * caller's on its own tasks only is refused for another's. Callers with neither limit cost no look at the task.
 */
@Injectable()
export class TaskAccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    @InjectRepository(QueueTask) private readonly tasks: Repository<QueueTask>,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const { principal, params } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const { id } = params as { id?: string };
    if (!principal || id === undefined) return true;
    const requirement = this.reflector.get<Requirement | undefined>(REQUIREMENT, context.getHandler());
    const ownOnly = requirement !== undefined && !may(principal, requirement.permission);
    return principal.scopes === undefined && !ownOnly
      ? true
      : this.look(id, principal, ownOnly ? requirement : undefined);
  }

  private async look(taskId: string, caller: Principal, ownOnly: Requirement | undefined): Promise<boolean> {
    const select = { id: true, appName: true, metadata: true } as const;
    const task = taskId.includes('\0') ? null : await this.tasks.findOne({ where: { taskId }, select });
    if (!task || !matchesAny(caller.scopes, task.appName)) throw noSuchTask(taskId);
    if (ownOnly && task.metadata.user !== caller.name) {
      throw roleRequired(caller, ownOnly.permission, 'this on a task that somebody else submitted');
    }
    return true;
  }
}
