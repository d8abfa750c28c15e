import { Injectable, type PipeTransform } from '@nestjs/common';
import { noSuchTask } from './tasks.service.js';

/** The task's id in an address. One that PostgreSQL cannot hold in a text is the id of no task. */
@Injectable()
export class TaskIdPipe implements PipeTransform<string, string> {
  transform(id: string): string {
    if (id.includes('\0')) throw noSuchTask(id);
    return id;
  }
}
